import type { RerunPlan } from "@towpath/contract";
import { expect, test } from "vitest";
import { styles } from "../output.ts";
import { planLine, planSteps } from "./rerun.ts";

const style = styles(false);
const plan: RerunPlan = {
  deployment: "body",
  versionBefore: 1,
  version: 2,
  reuse: 6,
  run: 2,
  reasons: [{ reason: "the code of summarise changed", tasks: 2 }],
  tasks: [],
};

test("a plan is one line: the reused calls, the calls that run, and the reason", () => {
  expect(planLine(plan, { isChanged: false, style })).toBe(
    "reuse 6 · run at least 2 · because the code of summarise changed",
  );
  const changed = planLine({ ...plan, run: 0, reasons: [] }, { isChanged: true, style });
  expect(changed).toBe(
    "reuse 6 · run 0 · because the parameters changed, so tasks whose input changes run too",
  );
  const asks = planLine({ ...plan, run: 0, reasons: [] }, { isChanged: false, asks: true, style });
  expect(asks).toBe("reuse 6 · run 0 and what follows them; questions are asked again");
  const reasons = ["a", "b", "c", "d", "e"].map((reason) => ({ reason, tasks: 1 }));
  expect(planLine({ ...plan, reasons }, { isChanged: false, style })).toContain("a; b; c; 2 more reasons");
});

test("a plan that lists only some calls gives both counts, with thousands separators", () => {
  const tasks = Array.from({ length: 1_000 }, (_, index) => ({
    path: `load/${index}`,
    name: "load",
    action: "reuse" as const,
    reason: null,
  }));
  const long = { ...plan, reuse: 10_000, run: 1, tasks };
  expect(planLine(long, { isChanged: false, style })).toMatch(/^reuse 10,000 · run at least 1 /);
  expect(planSteps(long, style)).toEqual([
    "  ↺ load × 1,000",
    "  and 9,001 more: the plan lists the first 1,000 of 10,001 calls",
  ]);
  expect(planSteps({ ...long, reuse: 1_000, run: 0 }, style)).toEqual(["  ↺ load × 1,000"]);
});

test("a failed call that is not repeated is listed apart from the calls with a result", () => {
  const charge = { name: "charge", action: "reuse" as const, reason: null };
  const tasks = [
    { ...charge, path: "charge/1" },
    { ...charge, path: "charge/2", failed: true as const },
  ];
  expect(planSteps({ ...plan, reuse: 2, run: 0, tasks }, style)).toEqual([
    expect.stringContaining("↺ "),
    expect.stringContaining("it failed and the flow handled the error: the same error is thrown again"),
  ]);
});
