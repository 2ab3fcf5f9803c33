import { expect, test } from "vitest";
import { format, parse } from "../src/route.ts";

const [A, B, C] = ["a", "b", "c"].map((letter) => `${letter.repeat(8)}-1111-4222-8333-${letter.repeat(12)}`) as [string, string, string];

test("A link has the job, further takes and the merges", () => {
  const route = { job: A, takes: [B, C], merges: [C, B] };
  expect(parse(format(route))).toEqual(route);
  expect(parse(`#job=${A}`)).toEqual({ job: A, takes: [], merges: [] });
});

test("What is no id is nothing", () => {
  expect(parse("#job=../../x&takes=1,2&merge=javascript:alert(1)")).toEqual({ job: null, takes: [], merges: [] });
  expect(parse("")).toEqual({ job: null, takes: [], merges: [] });
  expect(format({ job: null, takes: [B], merges: [] })).toBe("#");
});
