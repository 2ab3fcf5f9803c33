/** The film of the page: what can be played of it, and its way into Storage. */
import { type Job, message } from "./api.ts";
import { say, size, words } from "./strings.ts";
import { Pace, upload } from "./upload.ts";

export interface Film {
  name: string;
  /** What a video element plays; null while nothing can be played. */
  src: string | null;
  /** The file, when it is from this disk. */
  file: File | null;
  /** Where the worker gets it; null until it has arrived. */
  url: string | null;
}

export interface Sending {
  file: File;
  sent: number;
  rate: number | null;
  rest: number | null;
  stopped: boolean;
  failed: string | null;
  abort: AbortController;
}

const LARGEST = 512 * 2 ** 20;

/** Why a file of the disk is no film that we take; empty where it may be one. */
export function refusal({ name, type, size: bytes }: File): string {
  if (!type.startsWith("video/") && !/\.(mp4|mov|m4v|mkv|webm|avi|mpe?g|ts|ogv|3gp|wmv|flv)$/i.test(name)) return say(words.start.notFilm, { name });
  return bytes > LARGEST ? say(words.start.tooLarge, { name, size: size(bytes) }) : "";
}

export class Reel {
  film = $state.raw<Film | null>(null);
  /** Of the film that is played, as far as it has been seen. */
  cuts = $state.raw<number[]>([]);
  sending = $state<Sending | null>(null);
  /** Whose films this page may play. */
  private hosts = $state.raw([location.origin]);
  private broken: string[] = [];

  /** Takes the place of the film before; null of none. */
  put(film: Film | null): void {
    this.sending?.abort.abort(new Error("another film"));
    if (this.film?.file && this.film.src) URL.revokeObjectURL(this.film.src);
    this.film = film;
    this.sending = null;
  }

  /** Answers with whether it has arrived. */
  async send(file: File): Promise<boolean> {
    const pace = new Pace(file.size);
    const abort = new AbortController();
    this.sending = { file, sent: 0, rate: null, rest: null, stopped: false, failed: null, abort };
    const state = this.sending;
    const moved = (sent: number) => {
      pace.tell(sent, performance.now());
      Object.assign(state, { sent, rate: pace.rate, rest: pace.rest });
    };
    try {
      const url = await upload(file, moved, (stopped) => (state.stopped = stopped), abort.signal);
      if (this.film?.file !== file) return false;
      Object.assign(state, { sent: file.size, stopped: false });
      this.film = { ...this.film, url };
      return true;
    } catch (error) {
      if (!abort.signal.aborted) Object.assign(state, { failed: message(error), stopped: false });
      return false;
    }
  }

  /** What a job says of its film. */
  follow(job: Job): void {
    const film = this.film ?? { name: job.metadata.name ?? "", src: null, file: null, url: job.video_url };
    const found = [this.plays(job.video_url), job.preview_url].find((url) => url && !this.broken.includes(url)) ?? null;
    if (!this.film || (!film.src && found)) this.film = { ...film, src: film.src ?? found };
  }

  /** What the browser cannot play; a copy may come with the job. */
  cannotPlay(src: string, job: Job | null): void {
    this.broken = [...this.broken, src];
    if (this.film?.src === src) this.film = { ...this.film, src: null };
    if (job) this.follow(job);
  }

  /** The project's films are ours to play, and those of its Storage's own host. */
  allow(project_url: string): void {
    this.hosts = [location.origin, project_url, project_url.replace(".supabase.", ".storage.supabase.")];
  }

  /** The address, if this page may play what is there. */
  plays(url: string): string | null {
    return URL.canParse(url) && this.hosts.includes(new URL(url).origin) ? url : null;
  }
}
