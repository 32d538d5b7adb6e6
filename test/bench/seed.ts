import type { Arena, Lane } from "./arena.ts";

/**
 * Puts many ready runs into a lane: one through the API, the rest as copies of its rows. What is measured is what
 * becomes of them, not how they came.
 */
export async function seedReady(arena: Arena, lane: Lane, count: number): Promise<void> {
  const { sql } = arena;
  await lane.enqueue();
  await sql.begin(async (tx) => {
    await tx`create temp table made on commit drop as select r.*, gen_random_uuid() as new_run,
        gen_random_uuid() as new_attempt, n
      from (select * from run where deployment = ${lane.name} and state = 'ready' limit 1) r,
        generate_series(2, ${count}) as n`;
    await tx`insert into run_key (workspace_id, run_id, fingerprint)
      select workspace_id, new_run, sha256(new_run::text::bytea) from made`;
    const runs = await columnsOf(tx, "run", { id: "new_run", attempt_id: "new_attempt" });
    await tx.unsafe(`insert into run (${runs.names}) select ${runs.values} from made t`);
    const attempts = await columnsOf(tx, "attempt", { id: "t.new_attempt", run_id: "t.new_run" }, "a");
    await tx.unsafe(
      `insert into attempt (${attempts.names}) select ${attempts.values} from made t join attempt a on a.id = t.attempt_id`,
    );
  });
  await sql`analyze run, attempt`;
}

type Statements = Pick<Arena["sql"], "unsafe">;

/** The columns of a table, and what to select for them: some from elsewhere, the rest as they are under the alias. */
async function columnsOf(
  tx: Statements,
  table: string,
  replaced: Readonly<Record<string, string>>,
  alias = "t",
): Promise<{ names: string; values: string }> {
  const columns: { name: string }[] = await tx.unsafe(
    `select attname as name from pg_attribute where attrelid = '${table}'::regclass and attnum > 0 and not attisdropped
      and attgenerated = ''`,
  );
  const names = columns.map(({ name }) => name);
  return {
    names: names.join(", "),
    values: names.map((name) => replaced[name] ?? `${alias}.${name}`).join(", "),
  };
}

/** Adds archived runs, one attempt each, spread over the last month. @returns how many there are now */
export async function seedHistory(arena: Arena, lane: Lane, upTo: number): Promise<number> {
  const { sql } = arena;
  const [{ have } = { have: 0 }] = await sql<
    { have: number }[]
  >`select count(*)::int as have from run_history`;
  if (have >= upTo) return have;
  const made = `(select r.*, gen_random_uuid() as new_run, gen_random_uuid() as new_attempt, now() - n * interval '1 second'
    as at from (select * from run where deployment = $1 and state = 'completed' limit 1) r, generate_series(1, $2::int) n)`;
  const runs = await columnsOf(sql, "run", {
    id: "new_run",
    attempt_id: "new_attempt",
    created_at: "at",
    ended_at: "at",
  });
  const attempts = await columnsOf(
    sql,
    "attempt",
    { id: "t.new_attempt", run_id: "t.new_run", created_at: "t.at", ended_at: "t.at", started_at: "t.at" },
    "a",
  );
  const arguments_ = [lane.name, upTo - have];
  await sql.unsafe(
    `with made as materialized ${made}, keys as (insert into run_key (workspace_id, run_id, fingerprint, ended_at)
        select workspace_id, new_run, sha256(new_run::text::bytea), at from made),
      runs as (insert into run_history (${runs.names}) select ${runs.values} from made t)
      insert into attempt_history (${attempts.names}, run_ended_at)
      select ${attempts.values}, t.at from made t join attempt a on a.id = t.attempt_id`,
    arguments_,
  );
  await sql`vacuum analyze run_history, attempt_history, run_key`;
  // What the bulk load left to be written would otherwise be written while claims are timed.
  await sql`checkpoint`;
  return upTo;
}
