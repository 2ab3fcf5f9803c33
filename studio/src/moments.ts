/** Moments of a film that are marked for its music: hits, and where a part with music of its own begins. */
import type { Schemas } from "./api.ts";

export const KINDS = ["accent", "drop", "stop", "downbeat", "part"] as const;

export interface Moment {
  at: number;
  kind: (typeof KINDS)[number];
  /** Of a part: what is heard there beside the direction. */
  words: string;
  energy: "" | "0.2" | "0.5" | "0.9";
}

export const ENERGIES: Moment["energy"][] = ["", "0.2", "0.5", "0.9"];
const TOLD_S = 0.1; // places are told to a tenth of a second
const MET_S = 0.05;

/** A moment more, in order; a place that has one keeps it. */
export function mark(moments: Moment[], seconds: number, kind: Moment["kind"]): Moment[] {
  const at = Math.round(seconds / TOLD_S) / Math.round(1 / TOLD_S);
  if (moments.some((one) => one.at === at && (one.kind === "part") === (kind === "part"))) return moments;
  return [...moments, { at, kind, words: "", energy: "" as const }].sort((one, other) => one.at - other.at);
}

/** As POST /api/v1/gen takes them. No hits are left out: the director may find some, unless `own` are all there are to be. */
export function asked(moments: Moment[], own = false): Pick<Schemas["Gen"], "hits" | "segments"> {
  const hits = moments.flatMap(({ at, kind }) => (kind === "part" ? [] : [{ at, kind }]));
  const parts = moments.filter(({ kind }) => kind === "part");
  const segments = parts.map(({ at, words, energy }) => ({ start: at, ...(words.trim() && { prompt: words.trim() }), ...(energy && { energy: Number(energy) }) }));
  return { ...((own || hits.length) && { hits }), ...(segments.length && { segments }) };
}

/** How many of a track's hits have a stroke within 50 ms. */
export function met(errors: readonly (number | null)[]): number {
  return errors.filter((late) => late !== null && Math.abs(late) <= MET_S).length;
}
