// Server-sent events, for clients without supabase-js: what Realtime sends on the job's topic, over plain HTTP.
//
// A stream begins with everything that is there already and ends with the job, so coming back needs no bookkeeping: not
// after a lost connection, and not after the platform's wall clock has ended the function.
import type { View } from "./queue.ts";
import { ENDED, type Watches } from "./watch.ts";

const KEEPALIVE_MS = 15_000;
/** How long a reader may leave what it was sent where it is. */
const SLOWEST_READER_MS = 20_000;
/** The id of a stream's last event: an EventSource that comes back with it is told that there is nothing more. */
const END_ID = "end";
const STATE = ["job_id", "status", "stage", "completed_count", "total_count", "error", "error_code"] as const;

/** GET /api/v1/job/{job_id}/events. Throws Problem before the stream has begun; later it just ends. */
export async function stream(
  request: Request,
  watches: Watches,
  job: string,
  user: string | null,
  slowestReaderMs = SLOWEST_READER_MS,
): Promise<Response> {
  if (request.headers.get("Last-Event-ID") === END_ID) return new Response(null, { status: 204 });
  const gone = new AbortController();
  const views = watches.views(job, user, gone.signal);
  const teller = new Teller();
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
        const { done, value } = await views.next().catch(() => ({ done: true, value: null }));
        if (done) return controller.close();
        text = value ? teller.events(value) : Date.now() - spokeAt > KEEPALIVE_MS ? ": still here\n\n" : "";
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

/** Turns views of one job into the events that a client has not had yet. */
class Teller {
  #state = "";
  readonly #told = new Set<number>();

  /** Event `result` for each new track, then event `job` when the state differs. */
  events(view: View): string {
    const frames = view.results
      .filter((result) => !this.#told.has(result.index))
      .map((result) => frame("result", JSON.stringify({ ...result, job_id: view.job_id })));
    for (const result of view.results) this.#told.add(result.index);
    const state = JSON.stringify(Object.fromEntries(STATE.map((name) => [name, view[name]])));
    if (state !== this.#state) {
      this.#state = state;
      frames.push(frame("job", state, ENDED.has(view.status) ? END_ID : undefined));
    }
    return frames.join("");
  }
}

function frame(event: string, data: string, id?: string): string {
  return `event: ${event}\ndata: ${data}\n${id ? `id: ${id}\n` : ""}\n`;
}
