import { expect, test } from "vitest";
import { checkServerVersion } from "./version.ts";

test("a server of Postgres 15 or later is accepted", async () => {
  expect(await checkServerVersion(async () => "150000")).toBe(15);
  expect(await checkServerVersion(async () => "180004")).toBe(18);
});

test("an older server is refused with the next step", async () => {
  await expect(checkServerVersion(async () => "140012")).rejects.toMatchObject({
    code: "server-too-old",
    message:
      "The database at DATABASE_URL is Postgres 14. Towpath needs Postgres 15 or later. " +
      "Upgrade that server, or unset DATABASE_URL to use the embedded database.",
  });
});

test("an answer that is not a version number is refused", async () => {
  await expect(checkServerVersion(async () => "CockroachDB")).rejects.toMatchObject({
    message: expect.stringContaining('is version "CockroachDB"'),
  });
});
