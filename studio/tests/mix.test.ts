import { expect, test } from "vitest";
import { duck, fade, fadeAt, gain, levelAt, overFilm } from "../src/mix.ts";

test("The music is down when the word begins, stays a while behind it, and comes back", () => {
  expect(duck([{ start: 2, end: 3 }])).toEqual([
    { at: 1.85, db: 0 },
    { at: 2, db: -10 },
    { at: 3.25, db: -10 },
    { at: 3.65, db: 0 },
  ]);
});

test("Between two spans that are nearer than the way up and down it stays down", () => {
  const points = duck([{ start: 5, end: 6 }, { start: 2, end: 4.3 }], -6);
  expect(points.map(({ at }) => at)).toEqual([1.85, 2, 6.25, 6.65]);
  expect(points[1]!.db).toBe(-6);
  expect(duck([{ start: 2, end: 4.1 }, { start: 5, end: 6 }])).toHaveLength(8);
});

test("A span within another changes nothing", () => {
  expect(duck([{ start: 1, end: 9 }, { start: 2, end: 3 }])).toEqual(duck([{ start: 1, end: 9 }]));
});

test("Between two points the level is linear in dB, and 0 outside of all", () => {
  const points = duck([{ start: 2, end: 3 }]);
  expect(levelAt(points, 1.925)).toBeCloseTo(-5);
  expect(levelAt(points, 2.5)).toBe(-10);
  expect(levelAt(points, 3.45)).toBeCloseTo(-5);
  expect([levelAt(points, 0), levelAt(points, 9), levelAt([], 1)]).toEqual([0, 0, 0]);
});

test("Where somebody speaks at once the way down begins before the film", () => {
  expect(levelAt(duck([{ start: 0.05, end: 1 }]), 0)).toBeCloseTo(-6.67, 2);
});

test("Music longer than the film fades over its last 3 s, or its last third; shorter music does not", () => {
  expect(fade(60, 30)).toEqual({ start: 27, end: 30 });
  expect(fade(60, 6)).toEqual({ start: 4, end: 6 });
  expect(fade(30.1, 30)).toBeNull();
  expect([26, 28.5, 30, 31].map((at) => fadeAt(fade(60, 30), at))).toEqual([1, 0.5, 0, 0]);
  expect(fadeAt(null, 99)).toBe(1);
});

test("A gain of -6 dB halves, about", () => {
  expect(gain(-6)).toBeCloseTo(0.501, 3);
  expect(gain(0)).toBe(1);
});

test("A wave form is drawn over the film: shorter music ends in silence, longer is cut", () => {
  const full = btoa(String.fromCharCode(...new Array(160).fill(255)));
  const half = overFilm(full, 15, 30);
  expect([half[0], half[79], half[80], half[159]]).toEqual([1, 1, 0, 0]);
  expect(overFilm(full, 60, 30).every((peak) => peak === 1)).toBe(true);
  expect(overFilm(null, 15, 30).every((peak) => peak === 0)).toBe(true);
});
