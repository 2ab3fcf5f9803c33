/**
 * The mix as POST /api/v1/merge renders it: original * 1 + music * gain * duck * fade, without the limiter.
 * Times are seconds of the film, levels dB. Nothing here knows of Web Audio.
 */
import type { Span } from "./api.ts";

/** A corner of an envelope; between two corners of `duck` the level is linear in dB. */
export interface Point {
  at: number;
  db: number;
}

const DUCK_DB = -10;
const ATTACK_S = 0.15; // ends where the word begins
const HOLD_S = 0.25;
const RELEASE_S = 0.4;
const LONGER_S = 0.1; // by so much a track must be longer than the film to be faded
const FADE_S = 3;

export function gain(db: number): number {
  return 10 ** (db / 20);
}

/** Down before each stretch of speech, up behind it; stretches closer than the way up and down stay down. */
export function duck(speech: readonly Span[], db = DUCK_DB): Point[] {
  const spans: Span[] = [];
  for (const { start, end } of [...speech].sort((one, other) => one.start - other.start)) {
    const last = spans.at(-1);
    if (last && start - ATTACK_S < last.end + HOLD_S + RELEASE_S) last.end = Math.max(last.end, end);
    else spans.push({ start, end });
  }
  return spans.flatMap(({ start, end }) => [
    { at: start - ATTACK_S, db: 0 },
    { at: start, db },
    { at: end + HOLD_S, db },
    { at: end + HOLD_S + RELEASE_S, db: 0 },
  ]);
}

export function levelAt(points: readonly Point[], at: number): number {
  const next = points.findIndex((point) => point.at > at);
  if (next === 0 || points.length === 0) return 0;
  if (next === -1) return points.at(-1)!.db;
  const [before, after] = [points[next - 1]!, points[next]!];
  return before.db + ((after.db - before.db) * (at - before.at)) / (after.at - before.at);
}

/** Where the fade of a track that outlasts the film begins and ends, linear in amplitude; null of a shorter one. */
export function fade(trackS: number, filmS: number): Span | null {
  if (trackS <= filmS + LONGER_S) return null;
  return { start: filmS - Math.min(FADE_S, filmS / 3), end: filmS };
}

/** The amplitude of a fade at a time. */
export function fadeAt(span: Span | null, at: number): number {
  if (!span || at <= span.start) return 1;
  return Math.max(0, (span.end - at) / (span.end - span.start));
}

/** A track's wave form (bytes in base64) over the whole length of the film: shorter ends in silence, longer is cut. */
export function overFilm(peaks: string | null, trackS: number, filmS: number, count = 160): number[] {
  const bytes = peaks ? Uint8Array.from(atob(peaks), (letter) => letter.charCodeAt(0)) : new Uint8Array();
  return Array.from({ length: count }, (_, i) => {
    const place = Math.floor(((i + 0.5) / count) * (filmS / (trackS || filmS || 1)) * bytes.length);
    return (bytes[place] ?? 0) / 255;
  });
}
