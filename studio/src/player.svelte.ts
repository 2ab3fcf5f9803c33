/** Plays a film and one of its tracks in step: the film is the clock, the track follows it. */
import { type Span, type Track, message } from "./api.ts";
import { Mix, Voice } from "./graph.ts";
import { duck, fade } from "./mix.ts";
import { SilentFilm } from "./silent.ts";

const TOLERANCE_S = 0.03; // further apart than this, the track begins again at the film's place
const LOOKS_MS = 200;
const DECODED = 2; // tracks that are kept decoded: the one that sounds and the one before it
const AHEAD_S = 0.02; // a source that is to begin now begins late; one that is to begin soon does not

export class Player {
  playing = $state(false);
  time = $state(0);
  length = $state(0);
  /** Whether the browser lets us be heard; else the film runs mute until somebody asks for sound. */
  muted = $state(false);
  current = $state<Track | null>(null);
  original = $state(true);
  level = $state(-3);
  ducking = $state(true);
  speech = $state<readonly Span[]>([]);
  trouble = $state<{ track: Track; why: string } | null>(null);

  private film: HTMLVideoElement | SilentFilm | null = null;
  private context: AudioContext | null = null;
  private mix: Mix | null = null;
  private wired = new WeakMap<HTMLVideoElement, MediaElementAudioSourceNode>();
  private voice: Voice | null = null;
  private decoded = new Map<string, Promise<AudioBuffer>>();
  private looking = 0;

  /** The film to go by; the one before is let go. Answers with how to let this one go. */
  attach(film: HTMLVideoElement | SilentFilm): () => void {
    const at = this.time;
    this.film = film;
    const hear = (names: string, act: () => void) => {
      for (const name of names.split(" ")) film.addEventListener(name, act);
      return () => names.split(" ").forEach((name) => film.removeEventListener(name, act));
    };
    const measure = () => (this.length = Number.isFinite(film.duration) ? film.duration : this.length);
    const deaf = [
      hear("loadedmetadata durationchange", measure),
      hear("loadedmetadata", () => at > 0 && film.currentTime === 0 && (film.currentTime = Math.min(at, film.duration))),
      hear("playing seeked", () => this.follow()),
      hear("pause waiting seeking ended", () => this.hush()),
      hear("play playing", () => (this.playing = true)),
      hear("pause ended", () => (this.playing = false)),
      hear("timeupdate seeking seeked", () => (this.time = film.currentTime)),
    ];
    measure();
    return () => {
      deaf.forEach((off) => off());
      film.pause();
      this.hush();
      this.playing = false;
      if (this.film !== film) return;
      this.film = null;
      this.length = 0; // there is nothing to play
    };
  }

  /** Another film begins at its begin. */
  forget(): void {
    this.length = this.time = 0;
  }

  toggle(): void {
    if (this.playing) this.film?.pause();
    else this.play();
  }

  /** With sound where the browser allows it, which it does after a click or a key. */
  async play(): Promise<void> {
    const film = this.film;
    if (!film) return;
    if (navigator.userActivation?.isActive ?? true) this.hear();
    try {
      await film.play();
    } catch {
      this.muted = film.muted = true; // sound is forbidden until somebody touches the page
      await film.play().catch(() => {});
    }
  }

  /** Ends the mute start; only from a click or a key. */
  hear(): void {
    this.context ??= new AudioContext({ latencyHint: "interactive" });
    this.mix ??= new Mix(this.context);
    this.mix.set(this.heardOriginal, this.level);
    if (this.film instanceof HTMLVideoElement && !this.wired.has(this.film)) {
      const node = this.context.createMediaElementSource(this.film);
      node.connect(this.mix.film);
      this.wired.set(this.film, node);
    }
    if (this.film) this.film.muted = false;
    this.muted = false;
    void this.context.resume().then(() => this.follow());
  }

  seek(seconds: number): void {
    const film = this.film;
    if (!film || !this.length) return; // there is nowhere to go yet
    this.time = film.currentTime = Math.min(Math.max(0, seconds), this.length);
  }

  /** The track that sounds from now on; null for the film alone. The place is kept. */
  async select(track: Track | null): Promise<void> {
    this.current = track;
    this.trouble = null;
    if (!track) return this.hush();
    try {
      await this.buffer(track);
    } catch (error) {
      if (this.current === track) this.trouble = { track, why: message(error) };
      return;
    }
    if (this.current?.audio_url === track.audio_url) this.follow(true);
  }

  /** Plays that track. */
  listen(track: Track): void {
    void this.select(track);
    if (!this.playing) void this.play();
  }

  /** After a slider, a switch, or news about where somebody speaks. */
  remix(): void {
    this.mix?.level(this.heardOriginal, this.level);
    this.lay();
  }

  /** What the mix is made by, for POST /api/v1/merge. */
  get asked(): { mode: "mix" | "replace"; music_gain_db: number; duck?: boolean } {
    const ducks = this.original && this.ducking && this.speech.length > 0;
    return { mode: this.original ? "mix" : "replace", music_gain_db: this.level, ...(this.original && { duck: ducks }) };
  }

  private get heardOriginal(): boolean {
    return this.original || !this.current;
  }

  private buffer(track: Track): Promise<AudioBuffer> {
    const url = track.audio_preview_url ?? track.audio_url;
    this.hear();
    const kept = this.decoded.get(url) ?? this.load(url);
    this.decoded.delete(url);
    this.decoded.set(url, kept); // the newest is the last
    for (const old of [...this.decoded.keys()].slice(0, -DECODED)) this.decoded.delete(old);
    kept.catch(() => this.decoded.delete(url));
    return kept;
  }

  private async load(url: string): Promise<AudioBuffer> {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(String(answer.status));
    return await this.context!.decodeAudioData(await answer.arrayBuffer());
  }

  /** Lets the track sound at the film's place: anew, or only when the two are apart. */
  private async follow(anew = false): Promise<void> {
    const { film, context, mix, current } = this;
    if (!film || !context || !mix || film.paused || film.seeking || film.readyState < 3 || context.state !== "running") return;
    this.look();
    mix.level(this.heardOriginal, this.level);
    if (!current) return;
    const kept = this.decoded.get(current.audio_preview_url ?? current.audio_url);
    const track = await kept?.catch(() => null);
    if (!track || this.current !== current || film.paused || this.film !== film) return;
    const at = film.currentTime;
    const apart = this.voice?.track === track ? Math.abs(this.voice.at - at) : Infinity;
    if (!anew && apart < TOLERANCE_S) return;
    const when = context.currentTime + AHEAD_S;
    this.voice?.stop(when);
    this.voice = mix.voice(track, at + AHEAD_S, fade(track.duration, this.length), when);
    this.lay();
  }

  private lay(): void {
    if (!this.film) return;
    const ducks = this.original && this.ducking;
    this.mix?.duck(ducks ? duck(this.speech) : [], this.film.currentTime);
  }

  private look(): void {
    if (this.looking) return;
    this.looking = window.setInterval(() => {
      if (this.film) this.time = this.film.currentTime;
      if (this.film?.paused ?? true) {
        window.clearInterval(this.looking);
        this.looking = 0;
      } else void this.follow();
    }, LOOKS_MS);
  }

  private hush(): void {
    this.voice?.stop();
    this.voice = null;
  }
}
