import { expect, test } from "vitest";
import type { Job } from "../src/api.ts";
import { deal, praise } from "../src/cards.ts";

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

test("Cuts on beats are told where chance would not meet as many, and the best of the tracks is named", () => {
  const fit = { cuts: 5, on_beat: 4, chance: 0.24, luck: 0.013, curve: null, lra_lu: 4, score: 0.56 };
  const results = [fit, { ...fit, on_beat: 2, luck: 0.35 }, null, { ...fit, cuts: 0, on_beat: 0, luck: 1 }].map((told, index) => (
    { index, title: "Dawn", description: "", bpm: 72, key: null, audio_url: `https://a/${index}.flac`, fit: told }
  ));
  const cards = deal([job({ total_count: 5, results, best: 0 })]);
  expect(cards.map(praise)).toEqual([["4 of 5 cuts on a beat", "best fit"], [], [], [], []]);
});

test("Of the moments asked for it is told how many are met", () => {
  const fit = { cuts: 0, on_beat: 0, chance: null, luck: 1, curve: null, lra_lu: 4, score: 0, hits: [0.01, 0.3, null] };
  const track = { index: 0, title: "Dawn", description: "", bpm: 72, key: null, audio_url: "https://a/0.flac", fit };
  expect(praise(deal([job({ total_count: 1, results: [track], best: null })])[0]!)).toEqual(["1 of 3 moments met"]);
});

test("Cards stand in the order of their jobs, whichever is known first; what is gone is waited for no longer", () => {
  const [first, last] = ["a", "c"].map((job_id) => job({ job_id, total_count: 1 }));
  expect(deal([undefined, last])).toEqual([]);
  expect(deal([first, undefined, last]).map(({ key }) => key)).toEqual(["a/0"]);
  expect(deal([first, null, last]).map(({ key }) => key)).toEqual(["a/0", "c/0"]);
});
