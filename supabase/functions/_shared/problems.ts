// What the API says when it cannot do what was asked: RFC 9457 problem JSON with a stable `code`, and a `detail` that
// says what to do. The twin of edge_api/problems.py: the contract's tests hold the two together.
import openapi from "./openapi.ts";

const MEANINGS = openapi.components.schemas.Code["x-problems"];

export type Code = keyof typeof MEANINGS;

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

  /** `origin` stands before the address of the page about the code. */
  response(origin: string): Response {
    const { title, status } = MEANINGS[this.code];
    const type = `${origin}/api/v1/problems/${this.code}`;
    const body = { type, title, status, detail: this.detail, code: this.code, ...this.more };
    const headers = { "Content-Type": "application/problem+json; charset=utf-8", ...this.headers };
    return new Response(JSON.stringify(body), { status, headers });
  }
}

/** What the contract says of a code, in HTML. Throws Problem not_found. */
export function page(code: string): string {
  if (!Object.hasOwn(MEANINGS, code)) {
    throw new Problem("not_found", "No problem has this code; all of them are listed at /openapi.json");
  }
  const { title, status, remedy } = MEANINGS[code as Code];
  const said = remedy.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<h1>${title}</h1>
<p>${said}</p>
<p>Status ${status}, code <code>${code}</code>.</p>
</html>
`;
}

/** One answer for both, so that nobody learns which ids exist. */
export function jobNotFound(): Problem {
  return new Problem("not_found", "There is no job with this id, or it belongs to somebody who must sign in to see it");
}
