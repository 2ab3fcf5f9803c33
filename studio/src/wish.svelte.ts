/** What the music is to be, as the page's fields say it and as the API takes it. */
import type { Job, Schemas } from "./api.ts";
import { type Moment, asked, mark } from "./moments.ts";
import type { Film } from "./reel.svelte.ts";

export class Wish {
  text = $state("");
  variants = $state(3);
  seconds = $state<number | null>(null);
  original = $state(true);
  format = $state("flac");
  seed = $state<number | null>(null);
  engine = $state("auto");
  loudness = $state("-14");
  loop = $state(false);
  moments = $state<Moment[]>([]);
  plan = $state<Schemas["Direction"][]>([]);

  /** Another film has moments of its own. */
  forget(): void {
    this.moments = [];
    this.plan = [];
  }

  /** Of a brief. */
  brief({ name, url: video_url }: Film) {
    const { text, variants, seconds, original, format, seed } = this;
    return {
      video_url,
      variants,
      ...(text.trim() && { user_request: text.trim() }),
      ...(seconds && { duration: seconds }),
      ...(seed != null && { seed }),
      metadata: {
        name: name.replace(/\p{Cc}/gu, "").slice(0, 200),
        original: original ? "kept" : "gone",
        format,
        ...(seconds && { seconds: String(seconds) }),
      },
    };
  }

  /** Of music; `planned` by a brief, whose hits are then all there are. */
  music(film: Film, planned: boolean) {
    const { format, engine, loudness, loop, moments, plan } = this;
    return {
      ...this.brief(film),
      format,
      ...asked(moments, planned),
      ...(planned && { plan }),
      ...(loudness !== "-14" && { loudness_lufs: Number(loudness) }),
      ...(loop && ["flac", "wav"].includes(format) && { loop }),
      ...(engine !== "auto" && { engine }),
    };
  }

  /** What a brief has found. */
  take({ brief, metadata }: Job): void {
    const { directions, hits, seed } = brief!;
    this.moments = hits.reduce((moments, { at, kind }) => mark(moments, at, kind ?? "accent"), this.moments);
    this.plan = directions;
    this.seed = seed;
    this.seconds = metadata.seconds ? Number(metadata.seconds) : null;
    this.original = metadata.original !== "gone";
  }
}
