/** The mix as nodes of Web Audio, live or offline: film -> 1 or 0; track -> crossfade -> fade -> gain -> duck. */
import type { Span } from "./api.ts";
import { type Point, fadeAt, gain, levelAt } from "./mix.ts";

const CROSSFADE_S = 0.05;
const SOFT_S = 0.015; // of a slider's or a switch's step, so that it does not click

export class Mix {
  readonly film: GainNode;
  private readonly music: GainNode;
  private readonly ducked: GainNode;

  constructor(readonly context: BaseAudioContext, out: AudioNode = context.destination) {
    // Stereo from here on: mono goes to both sides, 5.1 is folded as Web Audio does, which is how a merge does it.
    this.film = new GainNode(context, { channelCount: 2, channelCountMode: "explicit", channelInterpretation: "speakers" });
    this.music = new GainNode(context);
    this.ducked = new GainNode(context);
    this.film.connect(out);
    this.music.connect(this.ducked).connect(out);
  }

  /** How loud: the original or not, the music in dB. */
  level(original: boolean, musicDb: number): void {
    const now = this.context.currentTime;
    this.film.gain.setTargetAtTime(original ? 1 : 0, now, SOFT_S);
    this.music.gain.setTargetAtTime(gain(musicDb), now, SOFT_S);
  }

  /** The same at once, before anything sounds. */
  set(original: boolean, musicDb: number): void {
    this.film.gain.value = original ? 1 : 0;
    this.music.gain.value = gain(musicDb);
  }

  /** Lays the envelope from that time of the film on; between two corners a ramp of Web Audio is linear in dB. */
  duck(points: readonly Point[], filmS: number): void {
    const { gain: param } = this.ducked;
    const now = this.context.currentTime;
    param.cancelScheduledValues(now);
    param.setValueAtTime(gain(levelAt(points, filmS)), now);
    for (const { at, db } of points) {
      if (at > filmS) param.exponentialRampToValueAtTime(gain(db), now + at - filmS);
    }
  }

  /** A track that sounds from that time of the film on, at `when` of the context. */
  voice(track: AudioBuffer, filmS: number, fading: Span | null, when: number): Voice {
    return new Voice(this.context, this.music, track, filmS, fading, when);
  }
}

/** One track, from one place on. */
export class Voice {
  private readonly source: AudioBufferSourceNode;
  private readonly cross: GainNode;
  private readonly sounds: boolean;

  constructor(
    private readonly context: BaseAudioContext,
    out: AudioNode,
    readonly track: AudioBuffer,
    private readonly filmS: number,
    fading: Span | null,
    private readonly when: number,
  ) {
    this.source = new AudioBufferSourceNode(context, { buffer: track });
    this.cross = new GainNode(context, { gain: 0 });
    const fade = new GainNode(context, { gain: fadeAt(fading, filmS) });
    if (fading && filmS < fading.end) {
      fade.gain.setValueAtTime(fadeAt(fading, filmS), when + Math.max(0, fading.start - filmS));
      fade.gain.linearRampToValueAtTime(0, when + fading.end - filmS);
    }
    this.source.connect(this.cross).connect(fade).connect(out);
    this.sounds = filmS < track.duration;
    if (this.sounds) this.source.start(when, filmS);
    if (when > 0) {
      this.cross.gain.setValueAtTime(0, when);
      this.cross.gain.linearRampToValueAtTime(1, when + CROSSFADE_S);
    } else this.cross.gain.value = 1;
  }

  /** Where in the film this voice is now, by the context's clock. */
  get at(): number {
    return this.filmS + this.context.currentTime - this.when;
  }

  /** Goes from `when` on, while another comes; also when it is still coming itself. */
  stop(when = this.context.currentTime): void {
    const { gain: param } = this.cross;
    param.cancelScheduledValues(when);
    param.linearRampToValueAtTime(Math.min(1, Math.max(0, (when - this.when) / CROSSFADE_S)), when);
    param.linearRampToValueAtTime(0, when + CROSSFADE_S);
    if (this.sounds) this.source.stop(when + CROSSFADE_S);
  }
}
