import { expect, test } from "vitest";
import { concerns } from "./query.ts";

const RUN = "0199a000-0000-7000-8000-00000000000a";
const changes = (kinds: string[], runs: string[] = [], more = false) => ({ kinds, runs, more });

test("a list is refreshed by changes of the kinds that it shows", () => {
  expect(concerns(["runs", {}], changes(["run"], [RUN]))).toBe(true);
  expect(concerns(["runs", {}], changes(["task"], [RUN]))).toBe(false);
  expect(concerns(["keys"], changes(["key"]))).toBe(true);
  expect(concerns(["keys"], changes(["run"], [RUN]))).toBe(false);
});

test("a query about one run is refreshed by changes of that run only", () => {
  expect(concerns(["run", RUN, "running"], changes(["run"], [RUN]))).toBe(true);
  expect(concerns(["run", RUN, "running"], changes(["run"], ["another"]))).toBe(false);
  expect(concerns(["run", RUN, "running"], changes(["run"], ["another"], true))).toBe(true);
});

test("questions are refreshed by changes of waits, those of one run by its own only", () => {
  expect(concerns(["questions", "questions"], changes(["wait"], [RUN]))).toBe(true);
  expect(concerns(["questions", "questions"], changes(["run"], [RUN]))).toBe(false);
  expect(concerns(["waits", RUN, "running"], changes(["wait"], [RUN]))).toBe(true);
  expect(concerns(["waits", RUN, "running"], changes(["wait"], ["another"]))).toBe(false);
});

test("the reason why a run waits is refreshed by every change", () => {
  for (const kind of ["run", "limit", "worker", "pool", "deployment"])
    expect(concerns(["why", RUN, "blocked"], changes([kind], ["another"]))).toBe(true);
});

test("other queries are refreshed by all changes except task events", () => {
  expect(concerns(["something-else"], changes(["schedule"]))).toBe(true);
  expect(concerns(["something-else"], changes(["task", "artifact"]))).toBe(false);
});

test("missed changes refresh everything that can change", () => {
  expect(concerns(["keys"], { feedId: "7" })).toBe(true);
  expect(concerns(["log-end", RUN], { feedId: "7" })).toBe(true);
  expect(concerns(["me"], { feedId: "7" })).toBe(false);
});
