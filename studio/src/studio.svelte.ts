/** The state of the page: a film, its way into Storage, the jobs that make music for it, and the one that puts a track under it. */
import { type Job, type Schemas, type Span, type Track, call, erase, message } from "./api.ts";
import { type Card, deal } from "./cards.ts";
import { type Config, config } from "./config.ts";
import { watch } from "./live.ts";
import { save } from "./download.ts";
import { Packs } from "./packs.svelte.ts";
import { Player } from "./player.svelte.ts";
import { type Film, Reel, refusal } from "./reel.svelte.ts";
import { type Recent, forget, recent, remember } from "./recent.ts";
import { NOWHERE, type Route, format, parse } from "./route.ts";
import { say, words } from "./strings.ts";
import { sample } from "./upload.ts";
import { ended, tracksOf } from "./watch.ts";
import { Wish } from "./wish.svelte.ts";

export class Studio {
  readonly player = new Player();
  readonly reel = new Reel();
  config = $state.raw<Config | null>(null);
  readonly wish = new Wish();
  readonly packs = new Packs();
  /** The title of a track that is about to be put under the film. */
  putting = $state("");
  /** The music is asked for, and waits for the film to arrive. */
  asked = $state(false);
  complaint = $state("");
  /** Said to screen readers, the last lines of it: what comes in the same moment is said, too. */
  news = $state.raw<{ id: number; text: string }[]>([]);
  lost = $state(false);
  missing = $state(false);
  removed = $state(false);
  recent = $state.raw<Recent[]>(recent());
  mine = $state.raw<Schemas["ListedJob"][]>([]);
  /** Those of the route; null is one that is gone. */
  private jobs = $state.raw<Record<string, Job | null>>({});
  private route = $state.raw<Route>(NOWHERE);
  private watches = new Map<string, () => void>();

  job = $derived(this.route.job ? (this.jobs[this.route.job] ?? null) : null);
  briefed = $derived(this.route.brief ? (this.jobs[this.route.brief] ?? null) : null);
  planning = $derived(this.route.brief !== null);
  private last = $derived(this.route.merges.at(-1) ?? null);
  merge = $derived(this.last ? (this.jobs[this.last] ?? null) : null);
  merging = $derived(this.last !== null);
  opened = $derived(this.route.job !== null);
  cards = $derived(deal([this.route.job, ...this.route.takes].map((id) => (id ? this.jobs[id] : undefined))));

  async begin(): Promise<void> {
    window.addEventListener("hashchange", () => this.open(parse(location.hash)));
    this.open(parse(location.hash));
    for (let pause = 1000; !this.config; pause *= 2) {
      this.config = await config().catch(() => null);
      if (!this.config) await new Promise((resolve) => setTimeout(resolve, Math.min(pause, 8000)));
    }
    this.reel.allow(this.config.project_url);
    if (this.job) this.reel.follow(this.job);
    if (this.config.sign_in !== "none") await this.list().catch(() => {});
  }

  /** A film from the disk: plays at once, while it is on its way. */
  take(file: File): void {
    this.complaint = refusal(file);
    if (this.complaint) return;
    this.putOn({ name: file.name, src: URL.createObjectURL(file), file, url: null });
    void this.send(file);
  }

  async takeSample(): Promise<void> {
    await this.tell(async () => this.take(await sample()));
  }

  takeLink(link: string): void {
    const url = URL.parse(link.trim());
    this.complaint = url && /^https?:$/.test(url.protocol) ? "" : words.start.notLink;
    if (!url || this.complaint) return;
    const name = url.pathname.split("/").at(-1) || url.host;
    this.putOn({ name, src: this.reel.plays(url.href), file: null, url: url.href });
  }

  async send(file: File): Promise<void> {
    if (!(await this.reel.send(file))) return;
    this.announce(say(words.upload.done, { name: file.name }));
    if (this.asked) await this.submit();
  }

  /** Back to the quiet screen; what has been made stays where it is. */
  leave(): void {
    history.pushState(null, "", location.pathname);
    this.open(NOWHERE);
  }

  /** Asks for music now, or as soon as the film has arrived. */
  async submit(): Promise<void> {
    this.asked = true;
    this.complaint = "";
    const { film } = this.reel;
    if (!film?.url) return;
    try {
      const { job_id } = await call<Schemas["Made"]>("POST", "/api/v1/gen", this.wish.music(film, this.planning));
      this.go({ ...NOWHERE, job: job_id, beside: this.route.brief ? [this.route.brief] : [] });
    } catch (error) {
      this.complaint = message(error);
    } finally {
      this.asked = false;
    }
  }

  /** Asks what the music could be, before any is made. */
  async plan(): Promise<void> {
    await this.tell(async () => {
      const { job_id } = await call<Schemas["Made"]>("POST", "/api/v1/brief", this.wish.brief(this.reel.film!));
      this.go({ ...NOWHERE, brief: job_id });
    });
  }

  /** The track with all that an editor wants of it, in one file. */
  async pack({ key, job, index, title }: Card): Promise<void> {
    this.packs.put(key, "");
    await this.tell(async () => {
      const { job_id } = await call<Schemas["Made"]>("POST", `/api/v1/job/${job.job_id}/pack`, { variant: index });
      this.go({ ...this.route, beside: [...this.route.beside, job_id] });
      this.packs.wait(key, job_id, (why) => (this.complaint = say(words.tracks.notPacked, { title, why })));
    });
    if (this.complaint) this.packs.put(key);
  }

  /** The same direction with a new seed, or a part of its track; without a card all of them, in the place of a job that failed. */
  async again(card: Card | null, part?: Span): Promise<void> {
    if (!this.job) return;
    const { job_id: old } = card?.job ?? this.job;
    await this.tell(async () => {
      const { job_id } = await call<Schemas["Made"]>("POST", `/api/v1/job/${old}/again`, card ? { variant: card.index, ...part } : {});
      const { takes, beside } = this.route;
      this.go(card ? { ...this.route, takes: [...takes, job_id] } : { ...NOWHERE, job: job_id, beside: [...beside, old] });
    });
  }

  /** The card once more, by other words. */
  async compose(card: Card, prompt: string): Promise<void> {
    await this.tell(async () => {
      const { video_url, metadata, hits, segments } = this.job!;
      const { job_id } = await call<Schemas["Made"]>("POST", "/api/v1/gen", {
        video_url,
        ...(metadata.format && { format: metadata.format }),
        ...(metadata.seconds && { duration: Number(metadata.seconds) }),
        ...((this.config?.engines?.length ?? 0) > 1 && { engine: card.track!.engine }), // whose words they are
        ...(hits.length && { hits }),
        ...(segments.length && { segments }),
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
      this.go({ ...this.route, merges: [...this.route.merges, job_id] });
    });
    if (this.complaint) this.putting = "";
  }

  async cancel(): Promise<void> {
    await this.tell(async () => {
      for (const job of Object.values(this.jobs)) {
        if (job && !ended(job)) this.hear(job.job_id, await call<Job>("DELETE", `/api/v1/job/${job.job_id}`));
      }
      this.announce(words.job.cancelled);
    });
  }

  /** Deletes the film and all music of it, for everybody. */
  async remove(): Promise<void> {
    try {
      const { job, brief, takes, merges, beside } = this.route;
      for (const id of [...merges, ...takes, ...beside, (job ?? brief)!]) await erase(id);
      if (job) this.forget(job);
      this.leave();
      this.removed = true;
      this.announce(words.job.removed);
    } catch (error) {
      this.complaint = say(words.job.notRemoved, { why: message(error) });
    }
  }

  async download(event: MouseEvent & { currentTarget: HTMLAnchorElement }): Promise<void> {
    await this.tell(() => save(event));
  }

  forget(job: string): void {
    this.recent = forget(job);
  }

  private announce(text: string): void {
    this.news = [...this.news.slice(-2), { id: (this.news.at(-1)?.id ?? 0) + 1, text }];
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
    this.player.forget();
    this.reel.put(film);
  }

  private go(route: Route): void {
    history.replaceState(null, "", format(route));
    const known = this.recent.find(({ job }) => job === route.job);
    if (known) this.recent = remember({ ...known, hash: format(route) });
    this.open(route, true);
  }

  private open(route: Route, same = false): void {
    const other = route.job !== this.route.job || route.brief !== this.route.brief;
    this.route = route;
    if (other) {
      this.missing = this.lost = this.removed = this.asked = false;
      this.complaint = "";
      void this.player.select(null);
      if (!same) this.putOn(null);
      if (!same) this.wish.forget();
    }
    const wanted = [route.job, route.brief, ...route.takes, this.last].filter((id) => id !== null);
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
        lost: (lost) => {
          if (this.lost !== lost) this.announce(lost ? words.waiting.lost : words.waiting.back);
          this.lost = lost;
        },
        gone: () => {
          this.jobs = { ...this.jobs, [id]: null };
          if (id === (route.job ?? route.brief)) this.missing = true;
        },
      });
      this.watches.set(id, stop);
    }
  }

  private hear(id: string, job: Job): void {
    const before = this.jobs[id] ?? null;
    this.jobs = { ...this.jobs, [id]: job };
    if (id === this.route.job) this.show(job, before);
    if (id === this.route.brief) this.consider(job, before);
    if (id === this.last) this.putting = "";
    if (id === this.last && job.status === "completed" && before?.status !== "completed") this.announce(words.done.ready);
    if (job.kind !== "generate" || !before) return;
    const known = tracksOf(before);
    for (const track of tracksOf(job)) {
      if (known.some(({ index }) => index === track.index)) continue;
      const number = this.cards.findIndex((card) => card.key === `${id}/${track.index}`) + 1;
      this.announce(say(words.tracks.ready, { number, total: this.cards.length, title: track.title }));
    }
  }

  /** What the first job says of the film. */
  private show(job: Job, before: Job | null): void {
    this.reel.follow(job);
    this.player.speech = job.speech ?? [];
    this.player.remix();
    if (!before) {
      this.player.original = job.metadata.original !== "gone";
      this.recent = remember({ job: job.job_id, hash: format(this.route), name: job.metadata.name ?? "", at: job.created_at });
    }
  }

  /** What the brief says: the film, and what becomes of the wish once it is there. */
  private consider(job: Job, before: Job | null): void {
    this.reel.follow(job);
    this.player.speech = job.speech ?? [];
    if (job.brief && !before?.brief) this.wish.take(job);
  }

  private async list(): Promise<void> {
    const { jobs } = await call<Schemas["Page"]>("GET", "/api/v1/jobs?limit=12");
    this.mine = jobs.filter(({ kind }) => kind === "generate");
  }
}

export const studio = new Studio();
