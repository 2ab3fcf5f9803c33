import { expect, test } from "vitest";
import type { Job } from "../src/api.ts";
import { deal } from "../src/cards.ts";

const job = (more: object): Job => ({ job_id: "a", status: "processing", total_count: 3, results: [], directions: [], ...more }) as unknown as Job;
const dawn = { index: 0, title: "Dawn", description: "Slow", tempo_bpm: 70, key: "D minor" };

test("Before there is a plan every track has a place", () => {
  expect(deal([job({})]).map(({ title, track }) => [title, track])).toEqual([["", null], ["", null], ["", null]]);
});

test("A direction is a card, and its track takes the card over", () => {
  expect(deal([job({ directions: [dawn] })])[0]).toMatchObject({ title: "Dawn", tempo: 70, musicalKey: "D minor", track: null });
  const track = { index: 0, title: "Dawn", description: "Slow", bpm: 72, key: "D minor", audio_url: "https://a/0.flac" };
  expect(deal([job({ directions: [dawn], results: [track] })])[0]).toMatchObject({ tempo: 72, track });
});

test("The same direction again is a further take", () => {
  const takes = deal([job({ total_count: 1, directions: [dawn] }), job({ job_id: "b", total_count: 1, directions: [dawn] })]);
  expect(takes.map(({ key, take }) => [key, take])).toEqual([["a/0", 0], ["b/0", 2]]);
});

test("What an ended job did not make stays as a card that says so, a job without a plan has none", () => {
  expect(deal([job({ status: "completed", directions: [dawn] })])).toHaveLength(1);
  expect(deal([job({ status: "failed" })])).toHaveLength(0);
});

test("Cards stand in the order of their jobs, whichever is known first; what is gone is waited for no longer", () => {
  const [first, last] = ["a", "c"].map((job_id) => job({ job_id, total_count: 1 }));
  expect(deal([undefined, last])).toEqual([]);
  expect(deal([first, undefined, last]).map(({ key }) => key)).toEqual(["a/0"]);
  expect(deal([first, null, last]).map(({ key }) => key)).toEqual(["a/0", "c/0"]);
});
