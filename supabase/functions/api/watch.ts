// Watching a job until it ends: the waiting half of a merge, and the truth behind server-sent events.
//
// The job is asked again and again, by primary key, whether it has moved, and read only then: that holds behind every
// pooler and without any notification. The pause grows while nothing happens.
import { jobNotFound, Problem } from "../_shared/problems.ts";
import type { Moved, Queue, View } from "./queue.ts";

export const ENDED: ReadonlySet<string> = new Set(["completed", "failed", "cancelled"]);
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 2000;
const MAX_WATCHES = 1000;

/** All watches of this process: bounded in number, and ended together when the platform stops us. */
export class Watches {
  readonly #closing = new AbortController();
  #open = 0;

  constructor(private readonly queue: Queue, private readonly limit = MAX_WATCHES) {}

  /** End all watches: merges answer 202, streams end. */
  close(): void {
    this.#closing.abort();
  }

  /** The job as it is and at every change, and null after each pause without one; ends with the job, `gone` or close().
   *
   * Throws Problem: not_found (also later, when the job is purged), too_many_streams, database_unavailable (first view). */
  async *views(job: string, user: string | null, gone: AbortSignal): AsyncGenerator<View | null, void> {
    if (this.#open >= this.limit) {
      const detail = "Too many clients wait here already; ask GET /api/v1/job/{job_id} now and then instead";
      throw new Problem("too_many_streams", detail, { "Retry-After": "10" });
    }
    this.#open++;
    try {
      const stop = AbortSignal.any([this.#closing.signal, gone]);
      const text = await this.queue.view(job, user);
      let view: View | null = text && JSON.parse(text);
      let [version, pause]: [string | null, number] = ["", FIRST_PAUSE_MS];
      for (;;) {
        if (!view) throw jobNotFound();
        yield view;
        if (ENDED.has(view.status)) return;
        let moved: Moved | null;
        do {
          await rest(pause, stop);
          if (stop.aborted) return;
          pause = Math.min(pause * 1.3, LONGEST_PAUSE_MS);
          moved = await this.#moved(job, version);
          if (!moved) yield null;
        } while (!moved);
        [version, view, pause] = [moved.version, moved.view, FIRST_PAUSE_MS];
      }
    } finally {
      this.#open--;
    }
  }

  async #moved(job: string, version: string | null): Promise<Moved | null> {
    try {
      return await this.queue.moved(job, version);
    } catch (error) {
      if (error instanceof Problem) return null; // the database is away for a moment: the watch outlives it
      throw error;
    }
  }

  /** The job once it has ended, null when that takes longer than `waitS` or nobody can watch now. One that is deleted was cancelled. */
  async end(job: string, user: string | null, waitS: number, gone: AbortSignal): Promise<View | null> {
    try {
      for await (const view of this.views(job, user, AbortSignal.any([gone, AbortSignal.timeout(waitS * 1000)]))) {
        if (view && ENDED.has(view.status)) return view;
      }
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.code === "not_found") return { job_id: job, status: "cancelled" } as View;
    }
    return null;
  }
}

function rest(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    stop.addEventListener("abort", done, { once: true });
    function done() {
      clearTimeout(timer);
      stop.removeEventListener("abort", done);
      resolve();
    }
    if (stop.aborted) done();
  });
}
