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

test("a command that help does not list is on no page", () => {
  expect(commandsPage().text).toContain("## `towpath chaos <flow>");
  expect(commandsPage().text).not.toContain("chaos-attempt");
});
