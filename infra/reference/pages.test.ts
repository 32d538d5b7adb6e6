import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { commandsPage } from "./commands.ts";
import { referencePages } from "./pages.ts";

test.each(referencePages())(
  "$path says what the contract says (npm run reference writes it)",
  ({ path, text }) => {
    expect(readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")).toBe(text);
  },
);

test("the page of the Python package is written where python3 is installed", () => {
  const isThere = spawnSync("python3", ["--version"]).status === 0;
  if (!isThere)
    console.warn("SKIPPED: python3 is not installed, so docs/reference/python.md is not checked.");
  expect(isThere || process.env.CI === undefined, "CI needs python3").toBe(true);
  expect(referencePages().some(({ path }) => path === "docs/reference/python.md")).toBe(isThere);
});

test("a command that help does not list is on no page", () => {
  expect(commandsPage().text).toContain("## `towpath chaos <flow>");
  expect(commandsPage().text).not.toContain("chaos-attempt");
});
