import { pino } from "pino";
import { expect, test } from "vitest";
import { RefusalPauses } from "./refusal-pauses.ts";

function setUp() {
  let nowMs = 1_000_000;
  const pauses = new RefusalPauses({ clock: { nowMs: () => nowMs }, log: pino({ level: "silent" }) }, 3);
  return {
    pauses,
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}
const one = { deployment: "churn@prod", version: 7 };

test("after several refusals of a version in a row its runs are given back for a while, and those of others are not", () => {
  const { pauses, pass } = setUp();
  for (const _ of [1, 2]) pauses.refused(one, "no key");
  expect(pauses.reason(one)).toBeNull();
  pauses.refused(one, "no key");
  expect(pauses.reason(one)).toBe(
    'This worker refused the last 3 runs of version 7 of "churn@prod", and takes no other one for 1 s. The last refusal: no key',
  );
  expect(pauses.reason({ ...one, version: 8 })).toBeNull();
  expect(pauses.reason({ ...one, deployment: "other" })).toBeNull();
  pass(1_000);
  expect(pauses.reason(one)).toBeNull();
});

test("each pause is twice as long as the one before it, up to a minute, and refusals during a pause lengthen none", () => {
  const { pauses, pass } = setUp();
  const lengths: string[] = [];
  for (const _ of [1, 2, 3]) pauses.refused(one, "x");
  for (let n = 0; n < 8; n++) {
    pauses.refused(one, "taken before the pause");
    lengths.push(/for (\d+) s/.exec(pauses.reason(one) ?? "")?.[1] ?? "");
    pass(60_000);
    pauses.refused(one, "the trial");
  }
  expect(lengths).toEqual(["1", "2", "4", "8", "16", "32", "60", "60"]);
});

test("a run that starts ends the back-off of its version", () => {
  const { pauses } = setUp();
  for (const _ of [1, 2, 3]) pauses.refused(one, "x");
  pauses.started(one);
  expect(pauses.reason(one)).toBeNull();
  pauses.refused(one, "x");
  expect(pauses.reason(one)).toBeNull();
});

test("the first refusal of a deployment since any run started is told apart from others", () => {
  const { pauses } = setUp();
  expect(pauses.refused(one, "x")).toBe(true);
  expect(pauses.refused({ ...one, version: 8 }, "x")).toBe(false);
  expect(pauses.refused({ ...one, deployment: "other" }, "x")).toBe(true);
  pauses.started({ deployment: "third", version: 1 });
  expect(pauses.refused(one, "x")).toBe(true);
});

test("names without end take no memory without end, and the latest are remembered", () => {
  const { pauses } = setUp();
  const names = Array.from({ length: 3_000 }, (_, n) => ({ deployment: `d${n}`, version: 1 }));
  for (const name of names) for (const _ of [1, 2, 3]) pauses.refused(name, "x");
  expect(names.filter((name) => pauses.reason(name) !== null)).toEqual(names.slice(-1_000));
});
