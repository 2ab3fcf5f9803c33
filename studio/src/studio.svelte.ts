/** The state of the page: a film, its way into Storage, the jobs that make music for it, and the one that puts a track under it. */
import { type Job, type Schemas, type Track, call } from "./api.ts";
import { type Card, deal } from "./cards.ts";
import { type Config, config } from "./config.ts";
import { watch } from "./live.ts";
import { save } from "./download.ts";
import { Player } from "./player.svelte.ts";
import { type Recent, forget, recent, remember } from "./recent.ts";
import { type Route, format, parse } from "./route.ts";
import { say, size, words } from "./strings.ts";
import { Pace, sample, upload } from "./upload.ts";
import { ended, tracksOf } from "./watch.ts";

const LARGEST = 512 * 2 ** 20;

export interface Film {
  name: string;
  /** What a video element plays; null while nothing can be played. */
  src: string | null;
  /** The file, when it is from this disk. */
  file: File | null;
  /** Where the worker gets it; null until it has arrived. */
  url: string | null;
}

export interface Upload {
  file: File;
  sent: number;
  rate: number | null;
  rest: number | null;
  stopped: boolean;
  failed: string | null;
  abort: AbortController;
}

export class Studio {
  readonly player = new Player();
  config = $state.raw<Config | null>(null);
  film = $state.raw<Film | null>(null);
  /** Of the film that is played, as far as it has been seen. */
  cuts = $state.raw<number[]>([]);
  upload = $state<Upload | null>(null);
  wish = $state({ text: "", variants: 3, seconds: null as number | null, original: true, format: "flac", seed: null as number | null });
  /** The title of a track that is about to be put under the film. */
  putting = $state("");
  /** The music is asked for, and waits for the film to arrive. */
  asked = $state(false);
  complaint = $state("");
  /** Said to screen readers. */
  news = $state("");
  lost = $state(false);
  missing = $state(false);
  removed = $state(false);
  recent = $state.raw<Recent[]>(recent());
  mine = $state.raw<Schemas["ListedJob"][]>([]);
  private jobs = $state.raw<Record<string, Job>>({});
  private route = $state.raw<Route>({ job: null, takes: [], merge: null });
  private broken: string[] = [];
  private watches = new Map<string, () => void>();

  job = $derived(this.route.job ? (this.jobs[this.route.job] ?? null) : null);
  merge = $derived(this.route.merge ? (this.jobs[this.route.merge] ?? null) : null);
  merging = $derived(this.route.merge !== null);
  opened = $derived(this.route.job !== null);
  cards = $derived(deal([this.route.job, ...this.route.takes].map((id) => (id ? this.jobs[id] : undefined))));

  async begin(): Promise<void> {
    window.addEventListener("hashchange", () => this.open(parse(location.hash)));
    this.open(parse(location.hash));
    for (let pause = 1000; !this.config; pause *= 2) {
      this.config = await config().catch(() => null);
      if (!this.config) await new Promise((resolve) => setTimeout(resolve, Math.min(pause, 8000)));
    }
    if (this.job) this.show(this.job, this.job); // only now it is known which hosts are ours
    if (this.config.sign_in !== "none") await this.list().catch(() => {});
  }

  /** A film from the disk: plays at once, while it is on its way. */
  take(file: File): void {
    this.complaint = "";
    if (!file.type.startsWith("video/") && !/\.(mp4|mov|m4v|mkv|webm|avi|mpe?g|ts|ogv|3gp|wmv|flv)$/i.test(file.name)) {
      this.complaint = say(words.start.notFilm, { name: file.name });
    } else if (file.size > LARGEST) {
      this.complaint = say(words.start.tooLarge, { name: file.name, size: size(file.size) });
    } else {
      this.putOn({ name: file.name, src: URL.createObjectURL(file), file, url: null });
      void this.send(file);
    }
  }

  async takeSample(): Promise<void> {
    this.take(await sample());
  }

  takeLink(link: string): void {
    const url = URL.parse(link.trim());
    this.complaint = url && /^https?:$/.test(url.protocol) ? "" : words.start.notLink;
    if (!url || this.complaint) return;
    const name = url.pathname.split("/").at(-1) || url.host;
    this.putOn({ name, src: this.plays(url.href), file: null, url: url.href });
  }

  async send(file: File): Promise<void> {
    const pace = new Pace(file.size);
    const abort = new AbortController();
    this.upload = { file, sent: 0, rate: null, rest: null, stopped: false, failed: null, abort };
    const state = this.upload;
    try {
      const url = await upload(
        file,
        (sent) => {
          pace.tell(sent, performance.now());
          Object.assign(state, { sent, rate: pace.rate, rest: pace.rest });
        },
        (stopped) => (state.stopped = stopped),
        abort.signal,
      );
      if (this.film?.file !== file) return;
      Object.assign(state, { sent: file.size, stopped: false });
      this.film = { ...this.film, url };
      this.news = say(words.upload.done, { name: file.name });
      if (this.asked) await this.submit();
    } catch (error) {
      if (!abort.signal.aborted) Object.assign(state, { failed: message(error), stopped: false });
    }
  }

  /** Back to the quiet screen; what has been made stays where it is. */
  leave(): void {
    history.pushState(null, "", location.pathname);
    this.open({ job: null, takes: [], merge: null });
  }

  /** Asks for music now, or as soon as the film has arrived. */
  async submit(): Promise<void> {
    this.asked = true;
    this.complaint = "";
    const film = this.film;
    if (!film?.url) return;
    const { text, variants, seconds, original, format: fileFormat, seed } = this.wish;
    try {
      const { job_id } = await call<Schemas["Made"]>("POST", "/api/v1/gen", {
        video_url: film.url,
        variants,
        format: fileFormat,
        ...(text.trim() && { user_request: text.trim() }),
        ...(seconds && { duration: seconds }),
        ...(seed != null && { seed }),
        metadata: { original: original ? "kept" : "gone", name: film.name.replace(/\p{Cc}/gu, "").slice(0, 200), ...(seconds && { seconds: String(seconds) }) },
      });
      this.go({ job: job_id, takes: [], merge: null });
    } catch (error) {
      this.complaint = message(error);
    } finally {
      this.asked = false;
    }
  }

  /** The same direction with a new seed, or all of them in the place of a job that failed. */
  async again(card: Card | null): Promise<void> {
    if (!this.job) return;
    await this.tell(async () => {
      const path = `/api/v1/job/${(card?.job ?? this.job)!.job_id}/again`;
      const { job_id } = await call<Schemas["Made"]>("POST", path, card ? { variant: card.index } : {});
      this.go(card ? { ...this.route, takes: [...this.route.takes, job_id] } : { job: job_id, takes: [], merge: null });
    });
  }

  /** The card once more, by other words. */
  async compose(card: Card, prompt: string): Promise<void> {
    await this.tell(async () => {
      const { video_url, metadata } = this.job!;
      const { job_id } = await call<Schemas["Made"]>("POST", "/api/v1/gen", {
        video_url,
        format: this.wish.format,
        ...(metadata.seconds && { duration: Number(metadata.seconds) }),
        plan: [{ prompt, title: card.title, description: card.description, tempo_bpm: card.tempo, key: card.musicalKey }],
        metadata,
      });
      this.go({ ...this.route, takes: [...this.route.takes, job_id] });
    });
  }

  /** Puts a track under the film, as it is mixed now. */
  async use(track: Track): Promise<void> {
    this.putting = track.title;
    await this.tell(async () => {
      const wanted: Schemas["Merge"] = { video_url: this.job!.video_url, audio_url: track.audio_url, ...this.player.asked };
      const { job_id } = await call<Schemas["Made"]>("POST", "/api/v1/merge", { ...wanted, metadata: { title: track.title } }, {
        headers: { Prefer: "respond-async" },
      });
      this.go({ ...this.route, merge: job_id });
    });
    if (this.complaint) this.putting = "";
  }

  async cancel(): Promise<void> {
    await this.tell(async () => {
      for (const job of Object.values(this.jobs)) {
        if (!ended(job)) this.hear(job.job_id, await call<Job>("DELETE", `/api/v1/job/${job.job_id}`));
      }
      this.news = words.job.cancelled;
    });
  }

  /** Deletes the film and all music of it, for everybody. */
  async remove(): Promise<void> {
    try {
      const { job, takes, merge } = this.route;
      for (const id of [merge, ...takes, job]) if (id) await call("DELETE", `/api/v1/job/${id}?files=true`);
      if (job) this.recent = forget(job);
      this.leave();
      this.removed = true;
      this.news = words.job.removed;
    } catch (error) {
      this.complaint = say(words.job.notRemoved, { why: message(error) });
    }
  }

  async download(event: MouseEvent, url: string, name: string): Promise<void> {
    await this.tell(() => save(event, url, name));
  }

  /** What the browser cannot play; a copy may come with the job. */
  cannotPlay(src: string): void {
    this.broken = [...this.broken, src];
    if (this.film?.src === src) this.film = { ...this.film, src: null };
    if (this.job) this.show(this.job, this.job);
  }

  forget(job: string): void {
    this.recent = forget(job);
  }

  /** An address that this page may play: of the project, or of this host. */
  plays(url: string): string | null {
    const ours = [location.origin, this.config?.project_url, this.config?.project_url.replace(".supabase.", ".storage.supabase.")];
    return URL.canParse(url) && ours.includes(new URL(url).origin) ? url : null;
  }

  private async tell(act: () => Promise<void>): Promise<void> {
    this.complaint = "";
    try {
      await act();
    } catch (error) {
      this.complaint = message(error);
    }
  }

  private putOn(film: Film | null): void {
    this.upload?.abort.abort(new Error("another film"));
    if (this.film?.file && this.film.src) URL.revokeObjectURL(this.film.src);
    this.player.forget();
    this.film = film;
    this.upload = null;
  }

  private go(route: Route): void {
    history.replaceState(null, "", format(route));
    const known = this.recent.find(({ job }) => job === route.job);
    if (known) this.recent = remember({ ...known, hash: format(route) });
    this.open(route, true);
  }

  private open(route: Route, same = false): void {
    const other = route.job !== this.route.job;
    this.route = route;
    if (other) {
      this.missing = this.lost = this.removed = this.asked = false;
      this.complaint = "";
      void this.player.select(null);
      if (!same) this.putOn(null);
    }
    const wanted = [route.job, ...route.takes, route.merge].filter((id) => id !== null);
    for (const [id, stop] of this.watches) {
      if (wanted.includes(id)) continue;
      stop();
      this.watches.delete(id);
    }
    this.jobs = Object.fromEntries(Object.entries(this.jobs).filter(([id]) => wanted.includes(id)));
    for (const id of wanted) {
      if (this.watches.has(id)) continue;
      const stop = watch(id, {
        job: (job) => this.hear(id, job),
        lost: (lost) => (this.lost = lost),
        gone: () => id === route.job && (this.missing = true),
      });
      this.watches.set(id, stop);
    }
  }

  private hear(id: string, job: Job): void {
    const before = this.jobs[id] ?? null;
    this.jobs = { ...this.jobs, [id]: job };
    if (id === this.route.job) this.show(job, before);
    if (id === this.route.merge) this.putting = "";
    if (id === this.route.merge && job.status === "completed" && before?.status !== "completed") this.news = words.done.ready;
    if (job.kind !== "generate" || !before) return;
    const known = tracksOf(before);
    for (const track of tracksOf(job)) {
      if (known.some(({ index }) => index === track.index)) continue;
      const number = this.cards.findIndex((card) => card.key === `${id}/${track.index}`) + 1;
      this.news = say(words.tracks.ready, { number, total: this.cards.length, title: track.title });
    }
  }

  /** What the first job says of the film. */
  private show(job: Job, before: Job | null): void {
    const film = this.film ?? { name: job.metadata.name ?? "", src: null, file: null, url: job.video_url };
    const found = [this.plays(job.video_url), job.preview_url].find((url) => url && !this.broken.includes(url)) ?? null;
    if (!this.film || (!film.src && found)) this.film = { ...film, src: film.src ?? found };
    this.player.speech = job.speech ?? [];
    this.player.remix();
    if (!before) {
      this.player.original = job.metadata.original !== "gone";
      this.recent = remember({ job: job.job_id, hash: format(this.route), name: job.metadata.name ?? "", at: job.created_at });
    }
  }

  private async list(): Promise<void> {
    const { jobs } = await call<Schemas["Page"]>("GET", "/api/v1/jobs?limit=12");
    this.mine = jobs.filter(({ kind }) => kind === "generate");
  }
}

export function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export const studio = new Studio();
