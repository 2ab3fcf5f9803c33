import { expect, test } from "vitest";
import type { Job, Track } from "../src/api.ts";
import { ended, heard, read, tracksOf } from "../src/watch.ts";

const job = (more: Partial<Job> = {}): Job =>
  ({ job_id: "a", status: "processing", stage: "composing", completed_count: 0, total_count: 3, results: [], directions: [], notes: [], ...more }) as Job;
const track = (index: number, title = `track ${index}`) => ({ index, title, audio_url: `https://a/${index}.flac` }) as Track;

test("Tracks are in the order of their directions, whatever the order in which they come", () => {
  const known = heard(heard(job(), "result", track(2)), "result", track(0));
  expect(tracksOf(known).map(({ index }) => index)).toEqual([0, 2]);
  expect(known.completed_count).toBe(2);
});

test("A track that comes twice is one", () => {
  expect(heard(heard(job(), "result", track(1)), "result", track(1)).results).toHaveLength(1);
});

test("An answer that is older than the events takes nothing away", () => {
  const known = heard(heard(job(), "plan", { directions: [{ index: 0 }] }), "result", track(0));
  const after = read(known, job());
  expect([after.results.length, after.directions.length, after.completed_count]).toEqual([1, 1, 1]);
});

test("What has ended stays ended, whatever comes late", () => {
  const done = job({ status: "completed", completed_count: 3 });
  expect(heard(done, "job", { status: "processing" }).status).toBe("completed");
  expect(read(done, job()).status).toBe("completed");
  expect(ended(done) && !ended(job()) && !ended(null)).toBe(true);
});

test("A failure brings its words along", () => {
  const failed = heard(job(), "job", { status: "failed", error: "The file is not a video", error_code: "not_video", total_count: 3 });
  expect(failed).toMatchObject({ status: "failed", error: "The file is not a video", error_code: "not_video" });
});

test("A copy of the film that an event tells is kept when a later one does not", () => {
  const known = heard(job(), "job", { status: "processing", preview_url: "https://a/p.mp4" });
  expect(heard(known, "job", { status: "processing" }).preview_url).toBe("https://a/p.mp4");
});

test("The first answer is taken as it is, an unknown event changes nothing", () => {
  expect(read(null, job())).toEqual(job());
  expect(heard(job(), "other", {})).toEqual(job());
});

test("A video is no track", () => {
  expect(tracksOf(job({ results: [{ index: 0, video_url: "https://a/m.mp4", licence: null }] }))).toEqual([]);
});
