import { expect, test } from "vitest";
import { format, parse } from "../src/route.ts";

const [A, B, C] = ["a", "b", "c"].map((letter) => `${letter.repeat(8)}-1111-4222-8333-${letter.repeat(12)}`) as [string, string, string];

test("A link has the job, further takes and the merge", () => {
  const route = { job: A, takes: [B, C], merge: B };
  expect(parse(format(route))).toEqual(route);
  expect(parse(`#job=${A}`)).toEqual({ job: A, takes: [], merge: null });
});

test("What is no id is nothing", () => {
  expect(parse("#job=../../x&takes=1,2&merge=javascript:alert(1)")).toEqual({ job: null, takes: [], merge: null });
  expect(parse("")).toEqual({ job: null, takes: [], merge: null });
  expect(format({ job: null, takes: [B], merge: null })).toBe("#");
});
