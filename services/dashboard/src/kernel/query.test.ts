import { expect, test } from "vitest";
import { concerns } from "./query.ts";

const RUN = "0199a000-0000-7000-8000-00000000000a";
const news = (kinds: string[], runs: string[] = [], more = false) => ({ kinds, runs, more });

test("a list is concerned by the kinds that it shows", () => {
  expect(concerns(["runs", {}], news(["run"], [RUN]))).toBe(true);
  expect(concerns(["runs", {}], news(["task"], [RUN]))).toBe(false);
  expect(concerns(["keys"], news(["key"]))).toBe(true);
  expect(concerns(["keys"], news(["run"], [RUN]))).toBe(false);
});

test("what is about one run is concerned by that run alone", () => {
  expect(concerns(["run", RUN, "running"], news(["run"], [RUN]))).toBe(true);
  expect(concerns(["run", RUN, "running"], news(["run"], ["another"]))).toBe(false);
  expect(concerns(["run", RUN, "running"], news(["run"], ["another"], true))).toBe(true);
});

test("what runs ask is concerned by news of waits, that of one run by its own alone", () => {
  expect(concerns(["questions", "questions"], news(["wait"], [RUN]))).toBe(true);
  expect(concerns(["questions", "questions"], news(["run"], [RUN]))).toBe(false);
  expect(concerns(["waits", RUN, "running"], news(["wait"], [RUN]))).toBe(true);
  expect(concerns(["waits", RUN, "running"], news(["wait"], ["another"]))).toBe(false);
});

test("why a run waits may change with anything that goes on beside it", () => {
  for (const kind of ["run", "limit", "worker", "pool", "deployment"])
    expect(concerns(["why", RUN, "blocked"], news([kind], ["another"]))).toBe(true);
});

test("a screen that says nothing of what it shows is read anew with everything but steps of tasks", () => {
  expect(concerns(["something-else"], news(["schedule"]))).toBe(true);
  expect(concerns(["something-else"], news(["task", "artifact"]))).toBe(false);
});

test("missed news concern everything that can change", () => {
  expect(concerns(["keys"], null)).toBe(true);
  expect(concerns(["log-end", RUN], null)).toBe(true);
  expect(concerns(["me"], null)).toBe(false);
});
