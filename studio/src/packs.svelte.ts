/** Packs that are made of tracks while the page is open. */
import { watch } from "./live.ts";
import { words } from "./strings.ts";
import { ended } from "./watch.ts";

export class Packs {
  /** Where each lies, by its card's key; empty while it is made. */
  private urls = $state.raw<Record<string, string>>({});

  url(key: string): string | undefined {
    return this.urls[key];
  }

  /** Without an address: it is not made any more. */
  put(key: string, url?: string): void {
    const { [key]: _, ...others } = this.urls;
    this.urls = url === undefined ? others : { ...others, [key]: url };
  }

  /** Waits for the job that packs; `failed` is told why there is none. */
  wait(key: string, job_id: string, failed: (why: string) => void): void {
    watch(job_id, {
      job: (job) => {
        if (!ended(job)) return;
        const url = job.results.map((result) => ("pack_url" in result ? result.pack_url : "")).find(Boolean);
        this.put(key, url);
        if (!url) failed(job.error ?? words.job.cancelled);
      },
      lost: () => {},
      gone: () => this.put(key),
    });
  }
}
