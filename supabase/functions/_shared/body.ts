// The body of a request: JSON within limits, as the contract describes it.
import { Problem } from "./problems.ts";
import { type BodyName, fieldsOf, findWrong, type Schemas } from "./schema.ts";

export const MAX_BODY_BYTES = 256 * 1024;
/** How long a client may take to send its body. */
const BODY_S = 15;
/** Deeper than any request means to be; a guard of the stack. */
const MAX_DEPTH = 100;
const MAX_ITEMS = 100;
/** How many wrong fields one answer lists. */
const MAX_SHOWN = 10;

/** The body as the schema `name` of the contract. Throws Problem: unsupported_media_type, request_timeout,
 * payload_too_large, bad_request, invalid_json, unknown_field, invalid_request. */
export async function read<Name extends BodyName>(request: Request, name: Name): Promise<Schemas[Name]> {
  mustBeJson(request.headers);
  return checked(await bytes(request), name);
}

/** The same where no body at all means `{}`; gateways do not always keep `Content-Length: 0`. */
export async function readIfAny<Name extends "Again" | "Pack">(request: Request, name: Name): Promise<Schemas[Name]> {
  const raw = await bytes(request);
  if (raw.length === 0) return {};
  mustBeJson(request.headers);
  return checked(raw, name);
}

function mustBeJson(headers: Headers): void {
  const type = headers.get("Content-Type");
  if (type !== null && !/^application\/([\w.-]+\+)?json$/i.test(type.split(";")[0]!.trim())) {
    throw new Problem("unsupported_media_type", "The body must be JSON; send it with Content-Type: application/json");
  }
  if ((headers.get("Content-Encoding") ?? "identity").toLowerCase() !== "identity") {
    throw new Problem("unsupported_media_type", "The body must not be compressed; send it without Content-Encoding");
  }
}

async function bytes(request: Request): Promise<Uint8Array> {
  const tooLarge = new Problem(
    "payload_too_large",
    "The body is too large; a request is at most 256 kB of JSON, videos go to /api/v1/upload",
  );
  if (Number(request.headers.get("Content-Length")) > MAX_BODY_BYTES) throw tooLarge;
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const detail = `The body did not arrive within ${BODY_S} s; send it again`;
    late.reject(new Problem("request_timeout", detail, { Connection: "close" }));
  }, BODY_S * 1000);
  const reader = request.body?.getReader();
  let whole = new Uint8Array(); // grows with what has come: many who send little must not cost much
  let size = 0;
  try {
    while (reader) {
      const { done, value } = await Promise.race([reader.read(), late.promise]);
      if (done) break;
      const end = size + value.length;
      if (end > MAX_BODY_BYTES) throw tooLarge;
      if (end > whole.length) whole = new Uint8Array(whole.buffer.transfer(Math.max(end, 2 * whole.length)));
      whole.set(value, size);
      size = end;
    }
  } catch (error) {
    reader?.cancel().catch(() => {}); // the rest of the body may still come, and nobody reads it
    if (error instanceof Problem) throw error;
    throw new Problem("bad_request", "The body is not what its headers say (Content-Length, Transfer-Encoding)");
  } finally {
    clearTimeout(timer);
  }
  return whole.subarray(0, size);
}

function parse(raw: Uint8Array): unknown {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw));
    mustBeSane(value, 0);
    return value;
  } catch {
    throw new Problem("invalid_json", "The body is not JSON we can read: send one object, in UTF-8");
  }
}

/** Half a surrogate pair is no text, and a tower of brackets no request. */
function mustBeSane(value: unknown, depth: number): void {
  if (depth > MAX_DEPTH || (typeof value === "string" && !value.isWellFormed())) throw new SyntaxError();
  if (typeof value !== "object" || value === null) return;
  for (const [key, part] of Object.entries(value)) {
    mustBeSane(key, depth);
    mustBeSane(part, depth + 1);
  }
  // No list is allowed that many: it is refused for its length, and not a hundred thousand times for its parts.
  if (Array.isArray(value) && value.length > MAX_ITEMS) value.length = MAX_ITEMS;
}

function checked<Name extends BodyName>(raw: Uint8Array, name: Name): Schemas[Name] {
  const body = parse(raw);
  const found = findWrong(body, name);
  if (found.length === 0) return body as Schemas[Name];
  const errors = found.slice(0, MAX_SHOWN).map(({ field, message }) => ({ field, message }));
  const unknown = found.filter((wrong) => wrong.unknown).map((wrong) => wrong.field);
  if (unknown.length > 0) {
    const names = unknown.slice(0, MAX_SHOWN).join(", ");
    const hint = names.includes(".")
      ? "the fields are described at /openapi.json"
      : `known are ${fieldsOf(name).join(", ")}`;
    throw new Problem("unknown_field", `Unknown field ${names}; ${hint}`, {}, { errors });
  }
  const detail = errors.map(({ field, message }) => field ? `${field}: ${message}` : message).join("; ");
  throw new Problem("invalid_request", detail, {}, { errors });
}
