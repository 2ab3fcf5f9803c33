// The SQL functions of schema queue, by name. Whatever Postgres says is translated here.
import postgres from "postgres";
import { log } from "./log.ts";
import { type Code, Problem } from "../_shared/problems.ts";
import type { Schemas } from "../_shared/schema.ts";

/** Few: the platform runs many of us beside each other. */
const MAX_CONNECTIONS = 5;
const IDLE_S = 20;
const CONNECT_S = 5;
const QUERY_S = 15;

export interface Asked {
  owner: string | null;
  client: string;
  key: string | null;
  traceparent: string;
}

/** A job as GET /api/v1/job/{job_id} answers it. */
export type View = Schemas["Job"];
/** The same as JSON text. */
export type ViewText = string;
/** A job that is at another version than was seen; both are null when it is gone. */
export type Moved = { version: string | null; view: View | null };

export class Queue {
  readonly #sql: postgres.Sql;

  /**
   * Connects to nothing yet; a database that is away is a 503 until it is there. With `commercialOnly` jobs for an engine whose
   * music may not be used commercially are refused.
   */
  constructor(url: URL, private readonly commercialOnly = false) {
    const address = new URL(url);
    const sslmode = address.searchParams.get("sslmode") ?? "prefer";
    address.search = ""; // what dashboards add for other clients would be taken for settings of Postgres
    this.#sql = postgres(address.href, {
      prepare: false, // a transaction pooler keeps no statements
      fetch_types: false,
      max: MAX_CONNECTIONS,
      idle_timeout: IDLE_S,
      connect_timeout: CONNECT_S,
      backoff: () => 0.1,
      onnotice: () => {},
      connection: { application_name: "rhythmai function" },
      ssl: sslmode === "disable" ? false : sslmode as "require" | "prefer" | "verify-full",
    });
  }

  /** Insert a job and return its id. Throws Problem: too_many_jobs, idempotency_mismatch, invalid_request. */
  async submit(kind: View["kind"], video: string, wish: string, options: object, by: Asked): Promise<string> {
    const json = JSON.stringify(options);
    return (await this.#ask(this.#sql`
      select queue.submit(${kind}, ${video}, ${wish}, ${json}::text::jsonb, ${by.owner}, ${by.client}, ${by.key}, ${by.traceparent},
        p_commercial_only => ${this.commercialOnly})
    `))!;
  }

  /**
   * Insert a job like `job`, or one that makes a part of its track anew; null when the caller may not see that job. Throws Problem
   * like submit, and not_ready, cannot_mend.
   */
  again(job: string, asked: Schemas["Again"], by: Asked): Promise<string | null> {
    const { seed = null, variant = null, engine = null, start = null, end = null } = asked;
    return this.#ask(this.#sql`
      select queue.again(${job}, ${by.owner}, ${seed}, ${variant}, ${by.client}, ${by.key}, ${by.traceparent},
        p_commercial_only => ${this.commercialOnly}, p_engine => ${engine}, p_start => ${start}, p_end => ${end})
    `);
  }

  /** Insert a job that packs a track of `job`; null when the caller may not see that one. Throws Problem like submit, and not_ready. */
  pack(job: string, { variant = null }: Schemas["Pack"], by: Asked): Promise<string | null> {
    return this.#ask(this.#sql`
      select queue.pack(${job}, ${by.owner}, ${variant}, ${by.client}, ${by.key}, ${by.traceparent})
    `);
  }

  /** Null when there is none for this caller. */
  view(job: string, user: string | null): Promise<ViewText | null> {
    return this.#ask(this.#sql`select queue.view(${job}, ${user})::text`);
  }

  /** Null when the job is where it was. */
  async moved(job: string, seen: string | null): Promise<Moved | null> {
    const text = await this.#ask(this.#sql`select queue.moved(array[${job}::uuid], array[${seen}::text])::text`);
    const [moved]: [string, string | null, View | null][] = JSON.parse(text!);
    return moved ? { version: moved[1], view: moved[2] } : null;
  }

  /** Cancel, and answer like view. */
  cancel(job: string, user: string | null): Promise<ViewText | null> {
    return this.#ask(this.#sql`select queue.cancel(${job}, ${user})::text`);
  }

  /** Delete with all files, and answer with the job as it was last. */
  erase(job: string, user: string | null): Promise<ViewText | null> {
    return this.#ask(this.#sql`select queue.erase(${job}, ${user})::text`);
  }

  /** A page of the user's jobs. Throws Problem invalid_request. */
  page(user: string, status: string | null, cursor: string | null, limit: string | null): Promise<ViewText | null> {
    return this.#ask(this.#sql`select queue.list(${user}, ${status}, ${cursor}, ${limit})::text`);
  }

  /** The id of a server's key; null when it is unknown or revoked. */
  keyOf(hash: string): Promise<string | null> {
    return this.#ask(this.#sql`select queue.key_of(${hash})`);
  }

  /** A ticket for an upload of so many bytes. Throws Problem too_many_uploads. */
  async takeUpload(path: string, size: number, owner: string | null, client: string): Promise<void> {
    await this.#ask(this.#sql`select queue.take_upload(${path}, ${size}, ${owner}, ${client})`);
  }

  /** The ticket was of no use. */
  async returnUpload(path: string): Promise<void> {
    await this.#ask(this.#sql`select queue.return_upload(${path})`);
  }

  /** `workers`, `workers_ready` and `engines`. */
  async health(): Promise<Record<string, unknown>> {
    return JSON.parse((await this.#ask(this.#sql`select queue.health()::text`))!);
  }

  /** Whether a job that failed with this code may work with another try. */
  async mayPass(code: string | null): Promise<boolean> {
    return await this.#ask(this.#sql`select queue.may_pass(${code})::text`) === "true";
  }

  async #ask(query: postgres.PendingQuery<postgres.Row[]>): Promise<string | null> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(new DOMException("The database does not answer", "TimeoutError"));
      query.cancel();
    }, QUERY_S * 1000);
    try {
      const [row] = await Promise.race([query.values(), late.promise]);
      return row![0];
    } catch (error) {
      throw translated(error);
    } finally {
      clearTimeout(timer);
    }
  }
}

function translated(error: unknown): unknown {
  if (!(error instanceof postgres.PostgresError)) {
    const { code, name } = error as { code?: unknown; name: string };
    // Sockets, TLS and the driver give their errors a code; what has none, or misuses the driver, is a bug of ours.
    if (code === "UNDEFINED_VALUE" || (typeof code !== "string" && name !== "TimeoutError")) return error;
    log("warning", "database.away", { error: typeof code === "string" ? code : name });
    return unavailable("The database cannot be reached; try again in a few seconds");
  }
  switch (error.code) {
    case "RY429":
      return new Problem("too_many_jobs", error.message, { "Retry-After": "10" });
    case "RY430":
      return new Problem("too_many_uploads", error.message, { "Retry-After": error.hint! });
    case "RY422":
      return new Problem("idempotency_mismatch", error.message);
    case "RY409":
      return new Problem(error.hint as Code, error.message);
    case "22023":
      return new Problem("invalid_request", error.message.replace(/^options\./, "")); // a column; bodies have its members
  }
  switch (error.code.slice(0, 2)) {
    case "08": // connection
    case "25": // read-only: a replica, a primary no more, or one whose disk is full
      log("warning", "database.away", { error: error.code });
      return unavailable("The database is read-only and takes no jobs; try again in a few seconds");
    case "40": // deadlock, serialization
    case "53": // resources
    case "57": // an operator steps in
    case "58": // its disk
    case "XX": // Supabase's pooler says with it that it has no connection to give
      log("warning", "database.away", { error: error.code });
      return unavailable("The database cannot be reached; try again in a few seconds");
    case "28": // who we are
    case "3D":
    case "3F":
    case "42": // no migrations, no rights; messages of these classes name roles and functions, never values
      log("error", "database.unfit", { error: error.message, remedy: "run `supabase db push`" });
      return unavailable("The database is not ready for this API; its operator finds the reason in the log");
  }
  return error;
}

function unavailable(detail: string): Problem {
  return new Problem("database_unavailable", detail, { "Retry-After": "5" });
}
