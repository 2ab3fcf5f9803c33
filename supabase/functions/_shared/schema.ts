// Bodies against the contract's own schemas: as much of JSON Schema as openapi.yaml uses for requests, with an answer in
// words. Validators on npm make code of strings, which edge runtimes may forbid, or cannot say what is wrong in our words.
import type { components } from "./contract.ts";
import openapi from "./openapi.ts";

export type Schemas = components["schemas"];
export type BodyName = "Gen" | "Merge" | "Again" | "Upload";

/** One wrong field, by its path with dots; the message never repeats what was sent. */
export interface Wrong {
  field: string;
  message: string;
  unknown?: boolean;
}

interface Schema {
  $ref?: string;
  oneOf?: Schema[];
  type?: string | string[];
  enum?: (string | null)[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  minItems?: number;
  maxItems?: number;
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  description?: string;
}

const schemas = openapi.components.schemas as unknown as Record<string, Schema>;
const NO_NUL = "^[^\\x00]*$";

/** The names of the fields of a body. */
export function fieldsOf(name: BodyName): string[] {
  return Object.keys(schemas[name]!.properties!);
}

/** Everything wrong with a body, in the order of the contract; unknown fields last. */
export function findWrong(body: unknown, name: BodyName): Wrong[] {
  return inObject(schemas[name]!, body, []);
}

function inObject(schema: Schema, value: unknown, path: string[]): Wrong[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return [wrong(path, "The body must be a JSON object")];
  }
  const object = new Map(Object.entries(value));
  const found = Object.entries(schema.properties!).flatMap(([field, part]) => {
    const at = [...path, field];
    if (object.has(field)) return inValue(part, object.get(field), at);
    return schema.required?.includes(field) ? [wrong(at, "is missing")] : [];
  });
  const unknown = [...object.keys()].filter((field) => !Object.hasOwn(schema.properties!, field));
  const refused = unknown.map((field) => ({
    ...wrong([...path, field], "Extra inputs are not permitted"),
    unknown: true,
  }));
  return [...found, ...refused];
}

function inValue(schema: Schema, value: unknown, path: string[]): Wrong[] {
  if (schema.$ref) return inValue(schemas[schema.$ref.split("/").at(-1)!]!, value, path);
  if (schema.oneOf) return value === null ? [] : inValue(schema.oneOf[0]!, value, path); // the other one is null
  if (schema.properties) return inObject(schema, value, path);
  const kinds = [schema.type ?? []].flat();
  if (value === null && (kinds.includes("null") || schema.enum?.includes(null))) return [];
  const message = ofKind(schema, kinds.find((kind) => kind !== "null") ?? "enum", value);
  if (message) return [wrong(path, message)];
  if (!Array.isArray(value)) return [];
  return value.flatMap((part, index) => inValue(schema.items!, part, [...path, String(index)]));
}

/** What is wrong with one value, or nothing. */
function ofKind(schema: Schema, kind: string, value: unknown): string | undefined {
  switch (kind) {
    case "enum": {
      const words = schema.enum!.filter((word) => word !== null).map((word) => `'${word}'`);
      if (schema.enum!.includes(value as string)) return;
      return `should be ${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
    }
    case "boolean":
      return typeof value === "boolean" ? undefined : "should be a valid boolean";
    case "integer":
    case "number":
      if (kind === "integer" ? !Number.isInteger(value) : !Number.isFinite(value)) return `should be a valid ${kind}`;
      return limited(
        value as number,
        schema.minimum,
        schema.maximum,
        (limit, low) => `should be ${low ? "greater" : "less"} than or equal to ${limit}`,
      );
    case "array":
      if (!Array.isArray(value)) return "should be a valid array";
      return limited(value.length, schema.minItems, schema.maxItems, counted("item"));
    default:
      if (typeof value !== "string") return "should be a valid string";
      return limited([...value].length, schema.minLength, schema.maxLength, counted("character")) ??
        ofPattern(schema, value);
  }
}

type Words = (limit: number, low: boolean) => string;

function counted(unit: string): Words {
  return (limit, low) => `should have at ${low ? "least" : "most"} ${limit} ${unit}${limit === 1 ? "" : "s"}`;
}

function limited(size: number, least = -Infinity, most = Infinity, words: Words): string | undefined {
  if (size < least) return words(least, true);
  if (size > most) return words(most, false);
}

function ofPattern({ pattern, description }: Schema, value: string): string | undefined {
  if (pattern === undefined || new RegExp(pattern, "u").test(value)) return;
  if (pattern === NO_NUL) return "must not hold the character U+0000";
  return `must be ${description!.charAt(0).toLowerCase()}${description!.slice(1).replace(/\.$/, "")}`;
}

function wrong(path: string[], message: string): Wrong {
  return { field: path.map((part) => [...part].slice(0, 80).join("")).join("."), message };
}
