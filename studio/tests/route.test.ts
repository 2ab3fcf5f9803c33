import { expect, test } from "vitest";
import { NOWHERE, format, parse } from "../src/route.ts";

const [A, B, C] = ["a", "b", "c"].map((letter) => `${letter.repeat(8)}-1111-4222-8333-${letter.repeat(12)}`) as [string, string, string];

test("A link has the job, further takes and the merges", () => {
  const route = { job: A, brief: null, takes: [B, C], merges: [C, B], beside: [B] };
  expect(parse(format(route))).toEqual(route);
  expect(parse(`#job=${A}`)).toEqual({ job: A, brief: null, takes: [], merges: [], beside: [] });
});

test("A plan has a link of its own, until there is music", () => {
  expect(parse(format({ ...NOWHERE, brief: B }))).toEqual({ ...NOWHERE, brief: B });
  expect(parse(`#job=${A}&brief=${B}`)).toEqual({ ...NOWHERE, job: A });
});

test("What is no id is nothing", () => {
  expect(parse("#job=../../x&takes=1,2&merge=javascript:alert(1)")).toEqual(NOWHERE);
  expect(parse("")).toEqual(NOWHERE);
  expect(format({ ...NOWHERE, takes: [B], merges: [] })).toBe("#");
});
