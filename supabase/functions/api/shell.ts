// The outermost shell: every answer is one of ours, with its headers and one log line.
import { allow, isPreflight, preflight } from "../_shared/cors.ts";
import { Problem } from "../_shared/problems.ts";
import { log } from "./log.ts";
import type { Route } from "./routes.ts";
import { continued } from "./trace.ts";

const REQUEST_ID = /^[A-Za-z0-9_.-]{8,64}$/;
const HOST = /^[A-Za-z0-9._:[\]-]*$/;
/** A Host that an address can be made of. */
const WHOLE_HOST = /^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$/;
const HEADERS = {
  "Server": "RhythmAI",
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer", // job ids stand in addresses
};

export type Handler = (request: Request, peer: string) => Promise<Response>;

/** A handler that never throws. */
export function answering(routes: Route[], corsOrigins: readonly string[], publicOrigin?: string): Handler {
  return async (request, peer) => {
    const began = performance.now();
    const traceparent = continued(request.headers.get("traceparent") ?? "");
    const traceId = traceparent.slice(3, 35);
    const asked = request.headers.get("X-Request-Id") ?? "";
    const id = REQUEST_ID.test(asked) ? asked : traceId;
    let route: Route | undefined;
    const path = contractPath(pathOf(request));
    const origin = publicOrigin ?? originOf(request);
    let response: Response;
    try {
      if (!HOST.test(request.headers.get("Host") ?? "")) {
        throw new Problem("bad_request", "This is not an HTTP/1.1 request that this server can read");
      }
      route = routes.find(({ pattern }) => pattern.test(path));
      response = isPreflight(request)
        ? preflight()
        : await dispatch(route, request, { traceparent, peer, path, origin });
    } catch (error) {
      response = (error instanceof Problem ? error : broke(error, { trace_id: traceId, request_id: id })).response(
        origin,
      );
    }
    for (const [name, value] of Object.entries(HEADERS)) {
      if (!response.headers.has(name)) response.headers.set(name, value);
    }
    response.headers.set("X-Request-Id", id);
    allow(corsOrigins, request, response.headers);
    const ms = Math.round((performance.now() - began) * 10) / 10;
    // The pattern that matched, never the path: an id in it is a secret.
    log("info", "request", {
      method: request.method,
      route: route?.name ?? "unmatched",
      status: response.status,
      ms,
      trace_id: traceId,
      request_id: id,
    });
    return response;
  };
}

/** Where the request says that it was sent, which nobody but its sender hears; empty where it does not. */
function originOf(request: Request): string {
  const host = request.headers.get("Host") ?? "";
  return WHOLE_HOST.test(host) ? `${request.url.split(":")[0]}://${host}` : "";
}

/** As it was sent: URL would take `..` and a backslash for what was not asked. */
function pathOf(request: Request): string {
  return request.url.replace(/^[a-z]+:\/\/[^/?]*/i, "").split(/[?#]/)[0]!;
}

/** Supabase calls function `api` at /functions/v1/api/... or, with its gateway's part cut off, at /api/...: the contract's
 * own paths but for the two that have no /api. */
function contractPath(path: string): string {
  return path.replace(/^\/functions\/v1(?=\/)/, "").replace(/^\/api(?=\/(healthz|openapi\.json)$)/, "");
}

async function dispatch(
  route: Route | undefined,
  request: Request,
  { path, ...more }: { traceparent: string; peer: string; path: string; origin: string },
): Promise<Response> {
  if (route === undefined) {
    throw new Problem("not_found", "There is nothing at this address; the API is described at /openapi.json");
  }
  if ((request.headers.get("Expect") ?? "100-continue").toLowerCase() !== "100-continue") {
    const detail = "The only expectation this server meets is 100-continue; leave the Expect header out";
    throw new Problem("expectation_failed", detail);
  }
  // A stream has no end that HEAD could tell.
  const headless = request.method === "HEAD" && !route.name.endsWith("/events");
  const handle = route.methods[headless ? "GET" : request.method];
  if (handle === undefined) {
    const methods = Object.keys(route.methods);
    if (methods.includes("GET") && !route.name.endsWith("/events")) methods.push("HEAD");
    const allowed = methods.sort().join(", ");
    const detail = `${request.method} means nothing here; this takes ${allowed}`;
    throw new Problem("method_not_allowed", detail, { Allow: allowed });
  }
  return await handle({ request, ...more, named: route.pattern.exec(path)?.groups?.named ?? "" });
}

function broke(error: unknown, ids: Record<string, string>): Problem {
  // The stack's lines are code; the message may hold a user's words and stays out.
  const where = error instanceof Error
    ? error.stack?.split("\n").filter((line) => /^ {4}at /.test(line)).slice(0, 3)
    : [];
  log("error", "request.broke", { error: error instanceof Error ? error.name : typeof error, where, ...ids });
  const detail = "Something went wrong on our side; try again, and report the X-Request-Id if it stays";
  return new Problem("internal", detail);
}
