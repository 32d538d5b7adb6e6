import { globSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { BASELINE, isJudged, type JournalEntry, judgeJournal, judgeMigration } from "./migrations.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const FOLDER = join(ROOT, "services/control/migrations");
const read = (path: string) => readFileSync(path, "utf8");

const files = globSync("*.sql", { cwd: FOLDER })
  .sort()
  .map((name) => ({ tag: basename(name, ".sql"), text: read(join(FOLDER, name)) }));
const Journal = z.object({
  entries: z.array(z.object({ idx: z.number(), when: z.number(), tag: z.string() })),
});
const { version } = z
  .object({ version: z.string() })
  .parse(JSON.parse(read(join(ROOT, "sdk/flow/package.json"))));

test("every migration after the first release runs beside the release before", async () => {
  expect(files.length).toBeGreaterThan(BASELINE);
  const faults = await Promise.all(files.filter(isJudged).map((file) => judgeMigration(file, version)));
  expect(faults.flat()).toEqual([]);
});

test("the baseline itself would not pass: what it may do, nothing after it may", async () => {
  const faults = await Promise.all(
    files.filter((file) => !isJudged(file)).map((file) => judgeMigration(file, version)),
  );
  expect(new Set(faults.flat().map(({ tag }) => tag))).toContain(`00${BASELINE}_run_timeout`);
});

test("the journal names every migration once, in order", () => {
  const { entries } = Journal.parse(JSON.parse(read(join(FOLDER, "meta/_journal.json"))));
  expect(
    judgeJournal(
      entries,
      files.map(({ tag }) => tag),
    ),
  ).toEqual([]);
});

const entry = (index: number, more: Partial<JournalEntry> = {}): JournalEntry => ({
  idx: index,
  when: index + 1,
  tag: `000${index}_a`,
  ...more,
});

test.each([
  ["a number that is skipped", [entry(0), entry(2)], "0002_a"],
  ["a time that does not rise", [entry(0), entry(1, { when: 1 })], "0001_a"],
  ["a file that is not named", [entry(0)], "0009_a"],
])("the journal is refused for %s", (_, entries, tag) => {
  const tags = ["0000_a", ...(tag === "0009_a" ? [tag] : [])];
  expect(judgeJournal(entries, tags).map((fault) => fault.tag)).toEqual([tag]);
});

const judge = async (text: string) =>
  (await judgeMigration({ tag: "0099_planted", text }, "0.5.0")).map(({ fault }) => fault);

/** A violation of each rule, and a word of what is said of it. */
const REFUSED: Record<string, string> = {
  "alter table run add column a text not null": "fails the inserts",
  "alter table run add column a uuid not null default gen_random_uuid()": "rewrites the table",
  "alter table run add column a text check (a <> '')": "not valid",
  "alter table run add column a uuid references pool (id)": "not valid",
  "alter table run add column a text unique": "unique index concurrently",
  "alter table run add column a uuid primary key": "primary key",
  "alter table run add column a int generated always as (1) stored": "generated column rewrites",
  "alter table run add column a int generated always as identity": "identity column rewrites",
  "alter table run add column a bigserial": "serial column rewrites",
  "alter table run add constraint a check (state <> '')": "not valid",
  "alter table run add constraint a foreign key (pool_id) references pool (id)": "not valid",
  "alter table run add primary key (id)": "not valid",
  "alter table run alter column state set not null": "not valid",
  "alter table run alter column state type varchar(10)": "rewrites the table",
  "alter table run validate constraint a": "of its own",
  "alter table run drop column state": "takes away",
  "alter table run rename column state to status": "takes away",
  "alter table run rename to task": "takes away",
  "alter table run set unlogged": "not known to be safe",
  "alter table run cluster on run_due": "not known to be safe",
  "drop table run": "takes away",
  "-- migration: contract 0.5.0\ndrop table run": "not before this one",
  "drop index run_due": "concurrently if exists",
  "create index a on run (state)": "build it concurrently",
  "create index concurrently if not exists a on run (state)": "cannot be in a transaction",
  "-- migration: concurrent\ncreate index concurrently a on run (state)": "if not exists",
  "-- migration: concurrent\ncreate table a (id int)": "may run again",
  "update run set state = 'failed'": "in batches",
  "delete from run_history": "in batches",
  "with gone as (delete from wait returning 1) select count(*) from gone": "in batches",
  "create table a (id uuid); insert into a select id from run": "in batches",
  "-- migration: batches\nupdate run set state = 'failed' where state = 'crashed'": "limit",
  "-- migration: batches\ncreate table a (id int)": "only changes of rows",
  "create table a partition of run_history default": "locks it",
  "do $$ begin end $$": "not known to be safe",
  "truncate run": "not known to be safe",
  "lock table run": "not known to be safe",
  "vacuum full run": "not known to be safe",
  "-- migration: concurently\nselect 1": "no mark of a migration",
  "alter table run ad column": "not SQL",
};

describe("is refused after the first release", () => {
  test.each(Object.entries(REFUSED))("%s", async (text, said) => {
    expect((await judge(text)).join("\n")).toContain(said);
  });
});

const ACCEPTED: readonly string[] = [
  "create table a (id uuid primary key, n serial, pool_id uuid not null references pool (id)); create index b on a (n)",
  "create table a (id int) partition by range (id); create table a_1 partition of a default",
  "create table a (id int); alter table a add check (id > 0); insert into a select 1 from pool",
  "alter table run add column a text, add column b boolean not null default false, add column c timestamptz default now()",
  "alter table run add column a jsonb not null default '{}'::jsonb",
  "alter table run drop constraint run_cause_check, add constraint run_cause_check check (cause <> '') not valid",
  "-- migration: concurrent\nalter table run validate constraint run_cause_check",
  "-- migration: concurrent\ncreate unique index concurrently if not exists a on run (state)",
  "-- migration: concurrent\ndrop index concurrently if exists run_due",
  "-- migration: batches\nupdate run set name = '' where id = any(array(select id from run where name is null limit 1000))",
  "-- migration: contract 0.4.0\nalter table run drop column state",
  "create index a on worker (name); update pool set name = lower(name)",
  "alter table run alter column state set default 'ready', alter column name drop not null, set (fillfactor = 50)",
  "create function f() returns int language sql return 1",
];

describe("is accepted after the first release", () => {
  test.each(ACCEPTED)("%s", async (text) => {
    expect(await judge(text)).toEqual([]);
  });
});
