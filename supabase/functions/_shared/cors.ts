// CORS: which pages may call. Never with credentials: tokens travel in the Authorization header.

const HEADERS =
  "authorization, apikey, content-type, idempotency-key, last-event-id, prefer, traceparent, tracestate," +
  " x-client-info, x-request-id";
const EXPOSED = "location, preference-applied, retry-after, x-request-id";
/** The longest that browsers remember, in seconds. */
const MAX_AGE_S = "7200";

/** Mark an answer for the page that asked; `origins` are exact, or `*` alone for all. */
export function allow(origins: readonly string[], request: Request, headers: Headers): void {
  if (origins.includes("*")) {
    headers.set("Access-Control-Allow-Origin", "*");
  } else {
    headers.append("Vary", "Origin");
    const origin = request.headers.get("Origin");
    if (origin === null || !origins.includes(origin)) return;
    headers.set("Access-Control-Allow-Origin", origin);
  }
  headers.set("Access-Control-Expose-Headers", EXPOSED);
}

export function isPreflight(request: Request): boolean {
  return request.method === "OPTIONS" && request.headers.has("Origin") &&
    request.headers.has("Access-Control-Request-Method");
}

export function preflight(): Response {
  return new Response(null, {
    status: 204,
    headers: {
      "Access-Control-Allow-Methods": "GET, POST, DELETE",
      "Access-Control-Allow-Headers": HEADERS,
      "Access-Control-Max-Age": MAX_AGE_S,
    },
  });
}
