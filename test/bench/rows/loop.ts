import { randomBytes } from "node:crypto";
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { derivedId, type Ref } from "@towpath/contract";
import { type Arena, sized } from "../arena.ts";
import { median, type Row } from "../figures.ts";
import { nowMs, startFlowWorker } from "../project.ts";

const LOOK_MS = 20;
const WAIT_MAX_MS = 120_000;

/** A run of the loop that has suspended once. */
interface Once {
  readonly runId: string;
  readonly file: string;
}

async function until<Value>(look: () => Promise<Value | null>, what: string): Promise<Value> {
  for (const startMs = nowMs(); nowMs() - startMs < WAIT_MAX_MS; await pause(LOOK_MS)) {
    const found = await look();
    if (found !== null) return found;
  }
  throw new Error(`${what} did not come within ${WAIT_MAX_MS} ms.`);
}

async function suspendedOnce({ stack }: Arena): Promise<Once> {
  const file = join(stack.folder, `loop-${randomBytes(4).toString("hex")}`);
  const runId = await stack.run("loop", { file });
  await until(async () => {
    const { state } = await stack.client.getRun({ params: { runId } });
    return state === "suspended" ? state : null;
  }, "The first suspension");
  return { runId, file };
}

/** Writes what further rounds of the loop would have left: an attempt, a result in the store and a wait of each. */
async function addRounds({ sql }: Arena, { runId }: Once, rounds: number): Promise<void> {
  const [first] = await sql<{ result: Ref; path: string }[]>`
    select result, path from task_run where run_id = ${runId} and name = 'tick'`;
  if (first === undefined) throw new Error("The loop's first task left nothing.");
  const [pack = "", offset = "0"] = first.result.uri.split("#");
  const source = fileURLToPath(pack);
  const ticks: { n: number; path: string; uri: string; wait: string; waitId: string }[] = [];
  for (let n = 1; n < rounds; n++) {
    const copy = source.replace("/attempt-1/", `/attempt-${n + 1}/`);
    await mkdir(dirname(copy), { recursive: true });
    await copyFile(source, copy);
    const path = first.path.replace(":0", `:${n}`);
    const wait = `wait:for:${n}`;
    ticks.push({
      n,
      path,
      uri: `${pathToFileURL(copy).href}#${offset}`,
      wait,
      waitId: await derivedId(runId, wait),
    });
  }
  const rows = sql.json(ticks);
  await sql.begin(async (tx) => {
    await tx`update wait set state = 'satisfied', settled_at = now() where run_id = ${runId}`;
    await tx`with ticks as (select * from jsonb_to_recordset(${rows}) as t (n int, path text, uri text, wait text, "waitId" uuid)),
      source as (select * from attempt where run_id = ${runId}),
      made as (insert into attempt (id, workspace_id, run_id, ordinal, pool_id, priority, scheduled_at, state, epoch, nonce, lost_after_ms, created_at, started_at, ended_at)
        select gen_random_uuid(), s.workspace_id, s.run_id, t.n + 1, s.pool_id, s.priority, s.scheduled_at, s.state, 1, 'n' || t.n, s.lost_after_ms, s.created_at, s.started_at, s.ended_at
        from ticks t cross join source s returning id, ordinal),
      results as (insert into task_run (attempt_id, path_key, workspace_id, run_id, attempt, ord, path, name, state, tries, kind, code_version, input_hash, result, created_at, started_at, ended_at)
        select m.id, sha256(t.path::bytea), r.workspace_id, r.run_id, t.n + 1, r.ord, t.path, r.name, r.state, r.tries, r.kind, r.code_version, r.input_hash,
          (r.result::jsonb || jsonb_build_object('uri', t.uri))::json, r.created_at, r.started_at, r.ended_at
        from ticks t join made m on m.ordinal = t.n + 1 cross join (select * from task_run where run_id = ${runId} and name = 'tick') r)
      insert into wait (workspace_id, id, run_id, deployment, path, kind, state, satisfy_at, created_at, settled_at)
        select w.workspace_id, t."waitId", w.run_id, w.deployment, t.wait, w.kind,
          case when t.n = ${rounds - 1} then 'open' else 'satisfied' end, w.satisfy_at, w.created_at,
          case when t.n = ${rounds - 1} then null else now() end
        from ticks t cross join (select * from wait where run_id = ${runId}) w`;
    await tx`update run set attempts = ${rounds}, attempt_id = (select id from attempt where run_id = ${runId} and ordinal = ${rounds}) where id = ${runId}`;
  });
}

/** From the end of the latest wait until the loop's next task begins, milliseconds. */
async function resumed(arena: Arena, args: { rounds: number; times: number }): Promise<number> {
  const took: number[] = [];
  for (let time = 0; time < args.times; time++) {
    const once = await suspendedOnce(arena);
    await addRounds(arena, once, args.rounds);
    const startMs = nowMs();
    await arena.sql`update wait set satisfy_at = now() where run_id = ${once.runId} and state = 'open'`;
    const atMs = await until(async () => {
      const lines = (await readFile(once.file, "utf8")).trim().split("\n");
      return lines.length > 1 ? Number(lines[1]) : null;
    }, `Round ${args.rounds}`);
    took.push(atMs - startMs);
    await arena.stack.client.cancelRun({ params: { runId: once.runId }, body: {} });
  }
  return median(took);
}

/** What it costs a loop to go on that has suspended many times, against one that has suspended a few. */
export async function loopRow(arena: Arena): Promise<Row> {
  const few = sized(arena, { tiny: 2, quick: 50, full: 50 });
  const many = sized(arena, { tiny: 4, quick: 5_000, full: 5_000 });
  const times = sized(arena, { tiny: 1, quick: 3, full: 5 });
  await using worker = await startFlowWorker(arena.stack, "loop");
  await resumed(arena, { rounds: few, times: 1 });
  const fewMs = await resumed(arena, { rounds: few, times });
  const manyMs = await resumed(arena, { rounds: many, times });
  worker.kill("SIGTERM");
  await worker.exited;
  return {
    row: "loop",
    unit: "ms",
    ours: { [`after ${many} suspensions`]: manyMs },
    peers: { [`after ${few}`]: { "to the next task": fewMs } },
    ratio: manyMs / fewMs,
    aim: "near 1: a resume costs what there is to go on from, once",
    how:
      `A loop of a task and a wait, each round an attempt of its own with its result in a file of its own. From the end of the latest wait ` +
      `until the next task begins; median of ${times}. The rounds but the first and the last are written to the database and the store.`,
  };
}
