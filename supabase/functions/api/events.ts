// Server-sent events, for clients without supabase-js: what Realtime sends on the job's topic, over plain HTTP.
//
// A stream begins with everything that is there already and ends with the job. Each event's id says what was told up to
// there, so that whoever comes back with it, after a lost connection or the platform's wall clock, is told the rest.
import { Problem } from "../_shared/problems.ts";
import type { View } from "./queue.ts";
import { ENDED, type Watches } from "./watch.ts";

const KEEPALIVE_MS = 15_000;
/** How long a reader may leave what it was sent where it is. */
const SLOWEST_READER_MS = 20_000;
/** The id of a stream's last event: an EventSource that comes back with it is told that there is nothing more. */
const END_ID = "end";
const ID = /^([0-9a-f]{1,3}):([a-z]*\/[a-z]*\/[0-8]|)$/;
const PLAN = 1 << 8;
const PREVIEW = 1 << 9;
const STATED = "job_id status stage completed_count total_count preview_url error error_code";
const STATE = STATED.split(" ") as (keyof View)[];

/** GET /api/v1/job/{job_id}/events. Throws Problem before the stream has begun; later it just ends. */
export async function stream(
  request: Request,
  watches: Watches,
  job: string,
  user: string | null,
  slowestReaderMs = SLOWEST_READER_MS,
): Promise<Response> {
  const lastId = request.headers.get("Last-Event-ID") ?? "";
  if (lastId === END_ID) return new Response(null, { status: 204 });
  const gone = new AbortController();
  const views = watches.views(job, user, gone.signal);
  const teller = new Teller(lastId);
  const encoder = new TextEncoder();
  const first = await views.next();
  let text = "retry: 2000\n\n" + (first.value ? teller.events(first.value) : "");
  let spokeAt = Date.now();
  let stalled: ReturnType<typeof setTimeout> | undefined;

  function leave() {
    clearTimeout(stalled);
    gone.abort();
    views.return(); // it may rest between two views, and would hold its place for ever
  }

  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      clearTimeout(stalled);
      while (!text) {
        const { done, value } = await views.next().catch((error) => {
          if (error instanceof Problem && error.code === "not_found") text = teller.gone(job);
          return { done: true, value: null };
        });
        if (done && !text) return controller.close();
        text ||= value ? teller.events(value) : Date.now() - spokeAt > KEEPALIVE_MS ? ": still here\n\n" : "";
      }
      controller.enqueue(encoder.encode(text));
      [text, spokeAt] = ["", Date.now()];
      stalled = setTimeout(() => {
        leave();
        controller.error(new DOMException("The reader does not read", "TimeoutError"));
      }, slowestReaderMs);
    },
    cancel: leave,
  });
  return new Response(body, { headers: { "Content-Type": "text/event-stream", "X-Accel-Buffering": "no" } });
}

/** Turns views of one job into the events that a client has not had yet.
 *
 * An id is `<told>:<version>`: what was told, as the bits of a hexadecimal number, one for the index of each result,
 * above them one for the plan and one for the preview; and the version of the state that was, its status, stage and count. One that is none of ours
 * counts as nothing. */
class Teller {
  #told: number;
  #version: string;

  constructor(lastId: string) {
    const found = ID.exec(lastId);
    this.#told = parseInt(found?.[1] ?? "0", 16);
    this.#version = found?.[2] ?? "";
  }

  /** Event `plan` once there is one, `result` for each new track, then event `job` when the state differs. */
  events(view: View): string {
    const frames: string[] = [];
    if (view.directions.length > 0 && !(this.#told & PLAN)) {
      this.#told |= PLAN;
      frames.push(this.#frame("plan", { job_id: view.job_id, directions: view.directions }));
    }
    for (const result of view.results) {
      if (this.#told >> result.index & 1) continue;
      this.#told |= 1 << result.index;
      frames.push(this.#frame("result", { ...result, job_id: view.job_id }));
    }
    const version = `${view.status}/${view.stage ?? ""}/${view.completed_count}`;
    if (view.preview_url && !(this.#told & PREVIEW)) {
      this.#told |= PREVIEW;
      this.#version = "";
    }
    const ended = ENDED.has(view.status);
    if (ended || version !== this.#version) {
      this.#version = version;
      const state = Object.fromEntries(STATE.map((name) => [name, view[name]]));
      frames.push(this.#frame("job", state, ended));
    }
    return frames.join("");
  }

  /** Event `deleted`, the last one. */
  gone(job_id: string): string {
    return this.#frame("deleted", { job_id }, true);
  }

  #frame(event: string, data: object, ended = false): string {
    const id = ended ? END_ID : `${this.#told.toString(16)}:${this.#version}`;
    return `event: ${event}\ndata: ${JSON.stringify(data)}\nid: ${id}\n\n`;
  }
}
