/** What is known of a job, as events and answers come in whatever order. Nothing here knows of a network. */
import type { Job, Schemas, Track } from "./api.ts";

const ENDED: readonly string[] = ["completed", "failed", "cancelled"];

export function ended(job: Pick<Job, "status"> | null): boolean {
  return job !== null && ENDED.includes(job.status);
}

export function tracksOf(job: Job | null): Track[] {
  return (job?.results ?? []).filter((result) => "audio_url" in result);
}

/** An answer of the API, which may be older than what events told meanwhile: nothing that was heard is lost. */
export function read(known: Job | null, answer: Job): Job {
  if (!known) return answer;
  const told = known.results.filter(({ index }) => !answer.results.some((result) => result.index === index));
  const older = ended(known) && !ended(answer) ? { status: known.status, error: known.error, error_code: known.error_code } : {};
  return {
    ...answer,
    ...older,
    results: byIndex([...answer.results, ...told]),
    directions: answer.directions.length ? answer.directions : known.directions,
    completed_count: Math.max(answer.completed_count, known.completed_count),
  };
}

/** An event of the topic `job:<id>`. */
export function heard(known: Job, event: string, payload: unknown): Job {
  switch (event) {
    case "plan":
      return { ...known, directions: (payload as { directions: Schemas["PlannedTrack"][] }).directions };
    case "result": {
      const result = payload as Track;
      const others = known.results.filter(({ index }) => index !== result.index);
      const results = byIndex([...others, result]);
      return { ...known, results, completed_count: Math.max(known.completed_count, results.length) };
    }
    case "job": {
      const { status, stage, completed_count, total_count, error, error_code, preview_url } = payload as Job;
      if (ended(known) && !ended({ status })) return known; // an event that came late
      return { ...known, status, stage, completed_count, total_count, error, error_code, preview_url: preview_url ?? known.preview_url };
    }
    default:
      return known;
  }
}

function byIndex<Result extends { index: number }>(results: Result[]): Result[] {
  return results.sort((one, other) => one.index - other.index);
}
