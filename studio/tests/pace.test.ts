import { expect, test } from "vitest";
import { say, size, span } from "../src/strings.ts";
import { Pace } from "../src/upload.ts";

test("An upload tells its speed by the last seconds, and its rest", () => {
  const pace = new Pace(10_000);
  expect([pace.rate, pace.rest]).toEqual([null, null]);
  for (let second = 0; second <= 6; second++) pace.tell(second * (second < 2 ? 10 : 1000), second * 1000);
  expect(pace.rate).toBeCloseTo(1000);
  expect(pace.rest).toBeCloseTo(4);
});

test("Numbers are said as people say them", () => {
  expect([span(3.2), span(300), size(583_000), size(2_400_000)]).toEqual(["4 sec", "5 min", "583 kB", "2.4 MB"]);
  expect(say("{a} of {b}", { a: 1, b: 2 })).toBe("1 of 2");
});
