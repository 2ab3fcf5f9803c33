/** The REST contract as the page calls it. */
import type { components } from "../../supabase/functions/_shared/contract.ts";
import { token } from "./session.ts";
import { words } from "./strings.ts";

export type Schemas = components["schemas"];
export type Job = Schemas["Job"];
export type Track = Schemas["Track"];
export type Span = Schemas["Span"];

/** The API said no; the message says what to do. */
export class Refused extends Error {
  constructor(readonly status: number, readonly code: string, detail: string) {
    super(detail);
  }

  /** Whether the same request may do better in a moment. */
  get passes(): boolean {
    return this.status >= 500;
  }
}

export function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const PATIENCE_MS = [500, 1000, 2000, 4000, 8000];

async function once<Answer>(method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<Answer> {
  const bearer = await token();
  const answer = await fetch(path, {
    method,
    headers: {
      ...(body && { "Content-Type": "application/json" }),
      ...(bearer && { Authorization: `Bearer ${bearer}` }),
      ...headers,
    },
    body: body && JSON.stringify(body),
  }).catch(() => {
    throw new Error(words.offline);
  });
  if (answer.ok) return (await answer.json()) as Answer;
  const problem = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, problem.code ?? "internal", problem.detail ?? words.offline);
}

/** Calls; what may pass (a restart, a gateway that waits) is tried again. A POST is the same request by its key. Throws Refused, and Error while nobody answers. */
export async function call<Answer>(
  method: "GET" | "POST" | "DELETE",
  path: string,
  body?: object,
  options: { patient?: boolean; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const key: Record<string, string> = method === "POST" && path !== "/api/v1/upload" ? { "Idempotency-Key": crypto.randomUUID() } : {};
  for (const pause of options.patient === false ? [] : PATIENCE_MS) {
    try {
      return await once<Answer>(method, path, body, { ...key, ...options.headers });
    } catch (error) {
      if (error instanceof Refused && !error.passes) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  return await once<Answer>(method, path, body, { ...key, ...options.headers });
}

/** Deletes a job with its files; one that is gone needs no deletion. */
export async function erase(id: string): Promise<void> {
  await call("DELETE", `/api/v1/job/${id}?files=true`).catch((error) => {
    if (!(error instanceof Refused) || error.status !== 404) throw error;
  });
}
