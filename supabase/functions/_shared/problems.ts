// What the API says when it cannot do what was asked: RFC 9457 problem JSON with a stable `code`, and a `detail` that
// says what to do. The twin of edge_api/problems.py: the contract's tests hold the two together.

/** Every code and its status. */
export const STATUS = {
  bad_request: 400,
  invalid_json: 400,
  unauthorized: 401,
  not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  merge_cancelled: 409,
  payload_too_large: 413,
  unsupported_media_type: 415,
  expectation_failed: 417,
  invalid_request: 422,
  unknown_field: 422,
  idempotency_mismatch: 422,
  merge_failed: 422,
  too_many_jobs: 429,
  too_many_uploads: 429,
  internal: 500,
  merge_unavailable: 502,
  database_unavailable: 503,
  storage_unavailable: 503,
  auth_unavailable: 503,
  too_many_streams: 503,
  too_many_connections: 503,
} as const;

export type Code = keyof typeof STATUS;

/** An answer that is an error. `more` are further members of the problem, `headers` go with it. */
export class Problem extends Error {
  constructor(
    readonly code: Code,
    readonly detail: string,
    readonly headers: Record<string, string> = {},
    readonly more: Record<string, unknown> = {},
  ) {
    super(detail);
  }

  response(): Response {
    const status = STATUS[this.code];
    const title = (this.code[0]!.toUpperCase() + this.code.slice(1).replaceAll("_", " ")).replace("json", "JSON");
    const body = { type: "about:blank", title, status, detail: this.detail, code: this.code, ...this.more };
    const headers = { "Content-Type": "application/problem+json; charset=utf-8", ...this.headers };
    return new Response(JSON.stringify(body), { status, headers });
  }
}

/** One answer for both, so that nobody learns which ids exist. */
export function jobNotFound(): Problem {
  return new Problem("not_found", "There is no job with this id, or it belongs to somebody who must sign in to see it");
}
