import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { NOTICES, TEST_NOTICES, testNotices } from "./mutation.ts";
import { MUTATIONS, mutate } from "./mutations.ts";

const ROOT = new URL("../../", import.meta.url);

test.each(Object.entries(MUTATIONS))("mutation %s still matches its source", (name, { file }) => {
  const path = new URL(file, ROOT).pathname;
  const source = readFileSync(path, "utf8");
  expect(mutate(name, { path, source })).not.toBe(source);
  expect(mutate(name, { path: "/another/file.ts", source })).toBe(source);
});

test("each mutation has a case or a test that must fail, and its title exists", () => {
  const noticed = [...Object.keys(NOTICES), ...Object.keys(TEST_NOTICES)];
  expect(new Set(noticed)).toEqual(new Set(Object.keys(MUTATIONS)));
  for (const { file, title } of Object.values(TEST_NOTICES))
    if (title !== "Property failed") expect(readFileSync(new URL(file, ROOT), "utf8")).toContain(title);
});

// The other mutations take longer: `npm run chaos -- --mutations`.
test("without a task's identity, or the key of a schedule's instant, a test fails", {
  timeout: 300_000,
}, async () => {
  for (const name of ["identity", "instant"] as const)
    expect(await testNotices(name)).toMatchObject({ noticed: true });
});
