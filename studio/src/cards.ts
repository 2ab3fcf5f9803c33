/** What is shown of jobs: a card for each direction, which becomes a track. */
import type { Job, Track } from "./api.ts";
import { met } from "./moments.ts";
import { clock, say, words } from "./strings.ts";
import { ended, tracksOf } from "./watch.ts";

export interface Card {
  key: string;
  job: Job;
  index: number;
  /** Which take of its direction, from 2 on; 0 is the first. */
  take: number;
  title: string;
  description: string;
  tempo: number | null;
  musicalKey: string | null;
  track: Track | null;
}

/** What is new in a track, and what is worth saying of how it fits its film: nothing that chance gives in one of ten cases. */
export function praise({ job, index, track }: Card): string[] {
  const fit = track?.fit;
  return [
    track?.mended ? say(words.tracks.mended, { start: clock(track.mended.start, 1), end: clock(track.mended.end, 1) }) : "",
    fit?.hits ? say(words.tracks.moments, { met: met(fit.hits), asked: fit.hits.length }) : "",
    fit && fit.on_beat > 0 && fit.luck < 0.1 ? say(words.tracks.onBeat, { met: fit.on_beat, cuts: fit.cuts }) : "",
    track && job.best === index ? words.tracks.best : "",
  ].filter(Boolean);
}

/** The cards of these jobs, in order; null is one that is gone. Those behind a job that is not known yet wait for it: none comes between. */
export function deal(jobs: (Job | null | undefined)[]): Card[] {
  const told = new Map<string, number>();
  const unknown = jobs.indexOf(undefined);
  return (unknown < 0 ? jobs : jobs.slice(0, unknown)).flatMap((job) => {
    if (!job) return [];
    const tracks = tracksOf(job);
    const count = ended(job) ? Math.max(tracks.length, job.directions.length) : job.total_count;
    return Array.from({ length: count }, (_, place) => {
      const track = tracks.find(({ index }) => index === place) ?? null;
      const direction = job.directions.find(({ index }) => index === place);
      const title = track?.title ?? direction?.title ?? "";
      const take = title ? (told.get(title) ?? 0) + 1 : 0;
      told.set(title, take);
      return {
        key: `${job.job_id}/${place}`,
        job,
        index: place,
        take: take > 1 ? take : 0,
        title,
        description: track?.description ?? direction?.description ?? "",
        tempo: track?.bpm ?? direction?.tempo_bpm ?? null,
        musicalKey: track?.key ?? direction?.key ?? null,
        track,
      };
    });
  });
}
