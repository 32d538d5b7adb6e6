import { expect, test } from "vitest";
import { startableNames } from "./spec.ts";

const signed = (stage: string | null, ...mayStart: string[]) => ({ stage, mayStart });

test("A name without a stage means the flow's own stage first, then the deployment without a stage", () => {
  expect(startableNames(signed("prod", "churn"), "churn")).toEqual(["churn@prod", "churn"]);
  expect(startableNames(signed(null, "churn"), "churn")).toEqual(["churn"]);
});

test("A whole name means only that deployment", () => {
  expect(startableNames(signed("prod", "churn@test"), "churn@test")).toEqual(["churn@test"]);
  expect(startableNames(signed("prod", "churn@prod"), "churn")).toEqual(["churn@prod"]);
  expect(startableNames(signed("prod", "churn"), "churn@prod")).toEqual(["churn@prod"]);
});

test("A flow cannot start a deployment of another stage that its signed spec does not name", () => {
  expect(startableNames(signed("test", "churn"), "churn@prod")).toEqual([]);
  expect(startableNames(signed(null, "churn"), "churn@prod")).toEqual([]);
  expect(startableNames(signed("test", "other"), "churn")).toEqual([]);
});
