import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sql } from "#sql";
import { createTestDatabase, type TestDatabase } from "../../../../test/harness/index.ts";
import { openTestDeps, type TestDeps } from "../deps.fixture.ts";
import { bootstrap } from "./bootstrap.ts";

let database: TestDatabase;
let deps: TestDeps;
let stateDir: string;
beforeAll(async () => {
  database = await createTestDatabase();
  stateDir = await mkdtemp(join(tmpdir(), "towpath-bootstrap-"));
  deps = await openTestDeps({ url: database.url, config: { stateDir, bootstrap: true } });
});
afterAll(async () => {
  await deps.close();
  await database.drop();
  await rm(stateDir, { recursive: true });
});

const counts = async () => {
  const [row] =
    await deps.database.db.execute(sql`select (select count(*)::int from organization) as organizations,
    (select count(*)::int from workspace) as workspaces, (select count(*)::int from access_key) as keys`);
  return row;
};
const keyFile = () => join(stateDir, "admin.key");

test("of several concurrent first boots one creates the tenant", async () => {
  const quiet = { ...deps, config: { ...deps.config, bootstrap: false } };
  await Promise.all(Array.from({ length: 6 }, () => bootstrap(quiet)));
  expect(await counts()).toEqual({ organizations: 1, workspaces: 1, keys: 0 });
});

test("an admin key is written once, readable only by its owner", async () => {
  await bootstrap(deps);
  const text = await readFile(keyFile(), "utf8");
  expect(text).toMatch(/^twp_api_[0-9a-f]{32}_[\w-]{43}\n$/);
  expect((await stat(keyFile())).mode & 0o777).toBe(0o600);
  await bootstrap(deps);
  expect(await readFile(keyFile(), "utf8")).toBe(text);
  expect(await counts()).toMatchObject({ keys: 1 });
});

test.each([
  ["lost", "the file is missing"],
  ["of another database", "its key does not belong to this database"],
  ["broken", "the file holds no key"],
])("a key file that is %s is written again; the log says why and which keys stay valid", async (how, why) => {
  const before = await readFile(keyFile(), "utf8");
  if (how === "lost") await rm(keyFile());
  else if (how === "broken") await writeFile(keyFile(), "nothing");
  else await writeFile(keyFile(), before.replace(/[0-9a-f]{32}/, "0".repeat(32)));
  const keysBefore = Number((await counts())?.keys);
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: "info" }, { write: (line) => lines.push(JSON.parse(line)) });
  await bootstrap({ ...deps, log });
  expect(await readFile(keyFile(), "utf8")).not.toBe(before);
  expect(lines).toMatchObject([{ level: 40, path: keyFile(), reason: why }]);
  expect(lines[0]?.earlier).toHaveLength(keysBefore);
  const secret = (await readFile(keyFile(), "utf8")).trim().slice(-43);
  expect(JSON.stringify(lines)).not.toContain(secret);
});
