import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { referencePages } from "./pages.ts";

test.each(referencePages())(
  "$path says what the contract says (npm run reference writes it)",
  ({ path, text }) => {
    expect(readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")).toBe(text);
  },
);
