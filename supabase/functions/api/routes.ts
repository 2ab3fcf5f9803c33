// The calls of the contract: check the request, call an SQL function, answer.
import { clientOf } from "../_shared/addresses.ts";
import { Authenticator, byProjectKeys, unauthorized } from "../_shared/auth.ts";
import { read, readIfAny } from "../_shared/body.ts";
import openapi from "../_shared/openapi.ts";
import { jobNotFound, page, Problem } from "../_shared/problems.ts";
import type { Schemas } from "../_shared/schema.ts";
import { stream } from "./events.ts";
import { log } from "./log.ts";
import { type Asked, Queue, type View, type ViewText } from "./queue.ts";
import type { Settings } from "./settings.ts";
import { MAX_UPLOAD_BYTES, Uploads } from "./uploads.ts";
import { Watches } from "./watch.ts";

/** A request and what the shell around it found out already. */
export interface Call {
  request: Request;
  /** What the job of this request takes as its own. */
  traceparent: string;
  peer: string;
  /** What stands before /api/v1 in the addresses of its answer. */
  origin: string;
  /** The {job_id} or {code} of the path. */
  named: string;
}

export interface Route {
  /** As in the contract, with {job_id}. */
  name: string;
  pattern: RegExp;
  methods: Record<string, (call: Call) => Response | Promise<Response>>;
}

/** A key as an RFC 9651 string. */
const QUOTED = /^"((?:[^"\\]|\\["\\])+)"$/;
const HTML = "text/html; charset=utf-8";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export class Routes {
  readonly watches: Watches;
  readonly #queue: Queue;
  readonly #uploads: Uploads;
  readonly #authenticator: Authenticator;
  #toldOfProxy = false;

  constructor(private readonly settings: Settings) {
    const { databaseUrl, jwtSecret, supabaseUrl, publishableKey, requireAuth, commercialOnly } = settings;
    this.#queue = new Queue(databaseUrl, commercialOnly);
    this.watches = new Watches(this.#queue);
    this.#uploads = new Uploads(settings, this.#queue);
    const verify = byProjectKeys(supabaseUrl, jwtSecret);
    this.#authenticator = new Authenticator(verify, publishableKey, requireAuth, (hash) => this.#queue.keyOf(hash));
  }

  table(): Route[] {
    const job = "/api/v1/job/{job_id}";
    return [
      route("/api/v1/gen", { POST: (call) => this.gen(call) }),
      route("/api/v1/brief", { POST: (call) => this.brief(call) }),
      route("/api/v1/merge", { POST: (call) => this.merge(call) }),
      route("/api/v1/upload", { POST: (call) => this.upload(call) }),
      route("/api/v1/jobs", { GET: (call) => this.jobs(call) }),
      route(job, { GET: (call) => this.view(call), DELETE: (call) => this.delete(call) }),
      route(`${job}/again`, { POST: (call) => this.again(call) }),
      route(`${job}/pack`, { POST: (call) => this.pack(call) }),
      route(`${job}/events`, { GET: (call) => this.events(call) }),
      route("/api/v1/problems/{code}", { GET: ({ named }) => text(page(named), 200, { "Content-Type": HTML }) }),
      route("/api/v1/ping", { GET: () => json({ status: "ok", message: "RhythmAI API is running" }) }),
      route("/healthz", { GET: async () => json({ status: "ok", database: "ok", ...await this.#queue.health() }) }),
      route("/openapi.json", { GET: () => json(describedAt(this.settings.base)) }),
    ];
  }

  async gen(call: Call): Promise<Response> {
    const user = await this.#user(call);
    const { video_url, user_request, ...options } = await read(call.request, "Gen");
    const by = this.#by(call, user);
    return made(call, await this.#queue.submit("generate", video_url, user_request ?? "", options, by));
  }

  async brief(call: Call): Promise<Response> {
    const user = await this.#user(call);
    const { video_url, user_request, ...options } = await read(call.request, "Brief");
    return made(call, await this.#queue.submit("brief", video_url, user_request ?? "", options, this.#by(call, user)));
  }

  async merge(call: Call): Promise<Response> {
    const user = await this.#user(call);
    const { video_url, ...options } = await read(call.request, "Merge");
    const job = await this.#queue.submit("merge", video_url, "", options, this.#by(call, user));
    const atOnce = prefersAsync(call.request);
    const view = atOnce ? null : await this.watches.end(job, user, this.settings.mergeWaitS, call.request.signal);
    if (view) return json(await this.#merged(view));
    return made(call, job, 202, atOnce ? { "Preference-Applied": "respond-async" } : {});
  }

  /** The video of a merge that has ended, and what it has otherwise than asked. Throws Problem: merge_failed, merge_unavailable, merge_cancelled. */
  async #merged({ job_id, status, error, error_code, results, notes }: View): Promise<Schemas["Merged"]> {
    if (status === "cancelled") {
      const detail = "The merge was cancelled while it ran; post it again if you want it";
      throw new Problem("merge_cancelled", detail, {}, { job_id });
    }
    if (status === "failed") {
      const code = await this.#queue.mayPass(error_code) ? "merge_unavailable" : "merge_failed";
      throw new Problem(code, `The merge failed: ${error}`, {}, { error_code, job_id });
    }
    const { video_url, licence } = results[0] as Schemas["Video"];
    return { video_url, ...(licence && { licence }), ...(notes.length && { notes }) };
  }

  async upload(call: Call): Promise<Response> {
    const user = await this.#user(call);
    const asked = await read(call.request, "Upload");
    if (asked.size > MAX_UPLOAD_BYTES) {
      const detail = `A video may have at most ${MAX_UPLOAD_BYTES / 2 ** 20} MB; send a shorter or smaller one`;
      throw new Problem("payload_too_large", detail);
    }
    return json(await this.#uploads.sign(asked, user, this.#clientOf(call)));
  }

  async jobs(call: Call): Promise<Response> {
    const user = await this.#user(call);
    if (user === null) {
      throw unauthorized(
        "A list is of a signed-in user's jobs, or of a key's: send Authorization: Bearer <access token>",
      );
    }
    const query = new URL(call.request.url).searchParams;
    // Quoted, because Postgres takes no U+0000; what is right has nothing to quote.
    const asked = (name: string) => query.has(name) ? encodeURIComponent(query.get(name)!) : null;
    return text((await this.#queue.page(user, asked("status"), asked("cursor"), asked("limit")))!);
  }

  async view(call: Call): Promise<Response> {
    const view = await this.#queue.view(jobOf(call), await this.#user(call));
    return await marked(found(view), view!, call.request.headers.get("If-None-Match") ?? "");
  }

  async delete(call: Call): Promise<Response> {
    const [job, user] = [jobOf(call), await this.#user(call)];
    const { searchParams: query } = new URL(call.request.url);
    switch (query.has("files") ? query.getAll("files").join() : "false") {
      case "false":
        return found(await this.#queue.cancel(job, user));
      case "true":
        return found(await this.#queue.erase(job, user), 202);
    }
    throw new Problem("invalid_request", "files: must be true or false");
  }

  async again(call: Call): Promise<Response> {
    const user = await this.#user(call);
    const asked = await readIfAny(call.request, "Again");
    const job = await this.#queue.again(jobOf(call), asked, this.#by(call, user));
    if (job === null) throw jobNotFound();
    return made(call, job);
  }

  async pack(call: Call): Promise<Response> {
    const user = await this.#user(call);
    const asked = await readIfAny(call.request, "Pack");
    const job = await this.#queue.pack(jobOf(call), asked, this.#by(call, user));
    if (job === null) throw jobNotFound();
    return made(call, job);
  }

  async events(call: Call): Promise<Response> {
    return await stream(call.request, this.watches, jobOf(call), await this.#user(call));
  }

  #user({ request }: Call): Promise<string | null> {
    return this.#authenticator.user(request.headers.get("Authorization"));
  }

  #clientOf({ request, peer }: Call): string {
    const { clientHeader } = this.settings;
    if (!clientHeader && !this.#toldOfProxy && request.headers.has("X-Forwarded-For")) {
      this.#toldOfProxy = true;
      const remedy = "if this is your proxy, set CLIENT_ADDRESS_HEADER: until then all its visitors are limited as one";
      log("warning", "proxy.untrusted", { peer, remedy });
    }
    return clientOf(peer, clientHeader ? request.headers.get(clientHeader) : null);
  }

  #by(call: Call, owner: string | null): Asked {
    const { request, traceparent } = call;
    const client = this.#clientOf(call);
    const sent = request.headers.get("Idempotency-Key");
    const quoted = sent && QUOTED.exec(sent);
    const key = quoted ? quoted[1]!.replace(/\\(.)/g, "$1") : sent;
    if (key !== null && !/^[!-~]{1,255}$/.test(key)) {
      throw new Problem("invalid_request", "The Idempotency-Key must be 1 to 255 visible ASCII characters");
    }
    return { owner, client, key, traceparent };
  }
}

function route(name: string, methods: Route["methods"]): Route {
  return {
    name,
    methods,
    pattern: new RegExp(`^${name.replace(/\{\w+\}/, "(?<named>[^/%{}]+)").replace(".", "\\.")}$`),
  };
}

/** The contract as it answers here: behind Supabase's gateway what has no /api of its own is found under the function's. */
function describedAt(base: string): object {
  if (!base) return openapi;
  const servers = [{ url: `${base}/api` }];
  const paths = Object.entries(openapi.paths).map(([path, calls]) =>
    path.startsWith("/api/") ? [path, calls] : [path, { servers, ...calls }]
  );
  return { ...openapi, servers: [{ url: base }], paths: Object.fromEntries(paths) };
}

/** A new job, and where it goes on from here. */
function made({ origin }: Call, job_id: string, status = 200, headers: Record<string, string> = {}): Response {
  const url = `${origin}/api/v1/job/${job_id}`;
  const urls = { job: url, events: `${url}/events`, cancel: url };
  return json({ job_id, urls } satisfies Schemas["Made"], status, { Location: url, ...headers });
}

function json(body: object, status = 200, headers: Record<string, string> = {}): Response {
  return text(JSON.stringify(body), status, headers);
}

function text(body: string, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(body, { status, headers: { "Content-Type": "application/json; charset=utf-8", ...headers } });
}

function found(view: ViewText | null, status = 200): Response {
  if (view === null) throw jobNotFound();
  return text(view, status);
}

/** The answer with a mark that the next request can come back with, or word that it has been seen. */
async function marked(answer: Response, text: string, seen: string): Promise<Response> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  const mark = `"${hash.toHex().slice(0, 32)}"`;
  const known = seen.split(",").some((one) => ["*", mark].includes(one.trim().replace(/^W\//, "")));
  const response = known ? new Response(null, { status: 304 }) : answer;
  response.headers.set("ETag", mark);
  response.headers.set("Cache-Control", "private, no-cache");
  return response;
}

function jobOf({ named }: Call): string {
  if (!UUID.test(named)) throw new Problem("not_found", "A job id is a UUID, as POST /api/v1/gen answered it");
  return named;
}

function prefersAsync(request: Request): boolean {
  const preferences = (request.headers.get("Prefer") ?? "").split(",");
  return preferences.some((preference) => preference.split(";")[0]!.trim().toLowerCase() === "respond-async");
}
