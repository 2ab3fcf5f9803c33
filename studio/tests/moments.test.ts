import { expect, test } from "vitest";
import { type Moment, asked, mark, met } from "../src/moments.ts";

test("Moments stand in order, to a tenth of a second, each place once; a part may begin where something happens", () => {
  const marked = mark(mark(mark(mark([], 7.26, "accent"), 1.04, "accent"), 7.31, "accent"), 7.3, "part");
  expect(marked.map(({ at, kind }) => [at, kind])).toEqual([[1, "accent"], [7.3, "accent"], [7.3, "part"]]);
});

test("What is marked is asked for as the API takes it", () => {
  const moments: Moment[] = [
    { at: 2, kind: "drop", words: "", energy: "" },
    { at: 5, kind: "part", words: " brass ", energy: "0.9" },
    { at: 9, kind: "part", words: "", energy: "" },
  ];
  expect(asked(moments)).toEqual({ hits: [{ at: 2, kind: "drop" }], segments: [{ start: 5, prompt: "brass", energy: 0.9 }, { start: 9 }] });
});

test("Nothing marked leaves the hits to the director, unless they are all there are to be", () => {
  expect(asked([])).toEqual({});
  expect(asked([], true)).toEqual({ hits: [] });
});

test("A hit is met within 50 ms", () => {
  expect(met([0.02, -0.05, 0.06, null])).toBe(2);
});
