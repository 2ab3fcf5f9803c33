// Bodies against the contract's own schemas. The library reads them at run time; others make code of strings, which edge
// runtimes may forbid.
import { dereference, type OutputUnit, type Schema, validate } from "@cfworker/json-schema";
import type { components } from "./contract.ts";
import openapi from "./openapi.ts";

export type Schemas = components["schemas"];
export type BodyName = "Gen" | "Brief" | "Merge" | "Again" | "Pack" | "Upload";

/** One wrong field, by its path with dots; the message never repeats what was sent. */
export interface Wrong {
  field: string;
  message: string;
  unknown: boolean;
}

const schemas = openapi.components.schemas as unknown as Record<string, Schema>;
const lookup = dereference(openapi as unknown as Schema);
/** What the library says of a place because of what it says of one inside. */
const FOLLOWS = new Set(["$ref", "oneOf", "properties", "items", "additionalProperties"]);
const NO_NUL = "^[^\\x00]*$";

/** The names of the fields of a body. */
export function fieldsOf(name: BodyName): string[] {
  return Object.keys(schemas[name]!.properties!);
}

/** Everything wrong with a body, one thing a place, in the order of the contract; unknown fields last. */
export function findWrong(body: unknown, name: BodyName): Wrong[] {
  const found = new Map<string, Wrong>();
  for (const unit of validate(body, schemas[name]!, "2020-12", lookup, false).errors) {
    if (FOLLOWS.has(unit.keyword)) continue;
    const missing = unit.keyword === "required" ? "/" + /"(.+)"/.exec(unit.error)![1] : "";
    const path = (unit.instanceLocation + missing).split("/"); // #, plan, 0, prompt
    if (path.some((_, depth) => found.has(path.slice(0, depth + 1).join("/")))) continue; // told already, or wrong as a whole
    const field = path.slice(1).map((part) => [...decoded(part)].slice(0, 80).join("")).join(".");
    const message = path.length > 1 ? words(unit, schemas[name]!) : "The body must be a JSON object";
    found.set(path.join("/"), { field, message, unknown: unit.keyword === "false" });
  }
  const order = fieldsOf(name);
  const place = ({ field }: Wrong) => (order.indexOf(field.split(".")[0]!) + 1) || order.length + 1;
  return [...found.values()].sort((one, other) => place(one) - place(other));
}

/** What the contract says of a value, if there are words for it, else what it asks of it. */
function words({ keyword, keywordLocation }: OutputUnit, body: Schema): string {
  if (keyword === "required") return "is missing";
  if (keyword === "false") return "Extra inputs are not permitted";
  const steps = keywordLocation.split("/").slice(1, -1);
  const schema = steps.reduce<Schema>((at, step) => step === "$ref" ? lookup[at.__absolute_ref__!] : at[step], body);
  if (keyword !== "pattern") return `must keep to ${keyword} ${JSON.stringify(schema[keyword])}`;
  if (schema.pattern === NO_NUL) return "must not hold the character U+0000";
  return `must be ${schema.description!.charAt(0).toLowerCase()}${schema.description!.slice(1).replace(/\.$/, "")}`;
}

function decoded(part: string): string {
  return decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
}
