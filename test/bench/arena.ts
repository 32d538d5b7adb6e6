import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LIMITS, ROUTES, uuidv7 } from "@towpath/contract";
import postgres, { type Sql } from "postgres";
import { startEmbeddedPostgres } from "../../services/control/src/kernel/postgres/start.ts";
import { endWithUs, removeWithUs } from "../harness/guard.ts";
import { registerDeployment } from "../harness/register.ts";
import { type Stack, type StackOptions, startStack } from "../harness/stack.ts";
import { type Agent, openAgent } from "./agent.ts";
import { processorTimes, total } from "./processor.ts";
import { Wire } from "./wire.ts";

/** How much of everything is measured. */
export type Size = "tiny" | "quick" | "full";

/** One Postgres with two databases, and a control plane on one of them: where both sides are measured. */
export interface Arena extends AsyncDisposable {
  readonly size: Size;
  readonly stack: Stack;
  /** The control plane's database, for seeds and for looking. */
  readonly sql: Sql;
  /** Processor time so far, milliseconds: of the control plane, of the server with all its backends, and of us. */
  processors(): Promise<Processors>;
  /** The connection string of the peer's database on the same server. */
  readonly peerUrl: string;
  /**
   * Makes a pool with one deployment of the same name that agents stand in for.
   * @param args.slots how many runs at once a limit of the pool, one of a queue, one of the deployment and a named one let go each.
   * @default no limit
   */
  lane(args?: { slots: number }): Promise<Lane>;
  /** Starts another control plane, on a database of its own of the same server. */
  beside(options: Pick<StackOptions, "walls">): Promise<Stack>;
}

/** Processor time by who spent it, milliseconds. `bench` is this process: agents, and the peer's runner. */
export type Processors = Readonly<Record<"control" | "postgres" | "bench", number>>;

/** A work pool of its own, so that rows do not disturb each other. */
export interface Lane {
  readonly name: string;
  /** An API call that creates a run and does not wait for anything else: by as little of HTTP as there is to one. */
  enqueue(): Promise<void>;
  /** The same call by the SDK's client, as programs make it. */
  enqueueByClient(): Promise<void>;
  /** Creates so many runs at once. */
  enqueueMany(count: number): Promise<void>;
  /** A worker of this pool as the protocol sees it: it claims and reports, and runs nothing. */
  agent(): Promise<Agent>;
}

/** What the server is started with beside the defaults: room for many peers, and statements counted for both sides. */
const SETTINGS = {
  max_connections: "500",
  shared_preload_libraries: "pg_stat_statements",
  ...(process.env.BENCH_STATEMENTS === "1" ? { "pg_stat_statements.track_planning": "on" } : {}),
} as const;

async function makeDatabase(admin: Sql, serverUrl: string) {
  const name = `bench_${randomBytes(6).toString("hex")}`;
  await admin`create database ${admin(name)}`;
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const drop = async () => {
    await admin`drop database if exists ${admin(name)} with (force)`;
  };
  return { name, url: url.href, drop };
}

/** The queue whose runs are limited. */
const QUEUE = "limited";

async function openLane(stack: Stack, limited?: { slots: number }): Promise<Lane> {
  const { client } = stack;
  const name = `lane-${randomBytes(4).toString("hex")}`;
  await client.createPool({ body: { name } });
  if (limited !== undefined) {
    const { slots } = limited;
    await client.setQueue({ params: { name }, body: { queue: QUEUE } });
    await client.setLimit({ body: { kind: "queue", name: `${name}/${QUEUE}`, slots } });
    for (const kind of ["named", "pool"] as const) await client.setLimit({ body: { kind, name, slots } });
  }
  const limits = limited === undefined ? [] : [{ name, slots: 1 }];
  await registerDeployment(stack, { name, pool: name, limits });
  if (limited !== undefined)
    await client.setLimit({ body: { kind: "deployment", name, slots: limited.slots } });
  const asked = { deployment: name, ...(limited !== undefined && { queue: QUEUE }) };
  const { secret } = await client.createKey({ body: { kind: "worker", name, pool: name } });
  const wire = new Wire(stack.url);
  const admin = (await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim();
  const one = () => ({ ...asked, id: uuidv7(Date.now()), parameters: {} });
  return {
    name,
    async enqueue() {
      const { path, status } = ROUTES.createRun;
      const answered = await wire.post({ path, token: admin, text: JSON.stringify(one()) });
      if (answered.status !== status) throw new Error(`A run was refused: ${answered.text}`);
    },
    async enqueueByClient() {
      await client.createRun({ body: one() });
    },
    async enqueueMany(count) {
      for (let left = count; left > 0; left -= LIMITS.batchRuns) {
        const ids = Array.from({ length: Math.min(left, LIMITS.batchRuns) }, () => uuidv7(Date.now()));
        const body = { ...asked, runs: ids.map((id) => ({ id, parameters: {} })) };
        await client.createRuns({ body }, { timeoutMs: 60_000 });
      }
    },
    agent: () => openAgent({ url: stack.url, key: secret, pool: name }),
  };
}

/** What production has, and with BENCH_PROFILE=FOLDER a profile of the control plane's time. */
function controlEnv(): NodeJS.ProcessEnv {
  const profiles = process.env.BENCH_PROFILE;
  const profiling = profiles === undefined ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profiles}` };
  // One key stands for many callers here.
  return { TOWPATH_CHECK_ANSWERS: "0", TOWPATH_RATE_LIMITS: "off", ...profiling };
}

/** Starts the server and the control plane, with Postgres's own durability: every commit is on disk. */
export async function openArena(size: Size): Promise<Arena> {
  const dir = await mkdtemp(join(tmpdir(), "towpath-bench-"));
  // A bench that is killed leaves neither its server nor its folders behind; the stack's processes see to themselves.
  removeWithUs(dir);
  const lines: string[] = [];
  const server = await startEmbeddedPostgres({
    dir,
    settings: SETTINGS,
    log: (line) => lines.splice(0, lines.length - 20, line),
  });
  const isOver = endWithUs(server.pid, "INT");
  const admin = postgres(server.url, { max: 1, onnotice: () => {} });
  const [own, peer] = [await makeDatabase(admin, server.url), await makeDatabase(admin, server.url)];
  const stack = await startStack({ database: own, controlEnv: controlEnv() });
  const sql = postgres(own.url, { max: 2, onnotice: () => {} });
  await sql`create extension pg_stat_statements`;
  return {
    size,
    stack,
    sql,
    peerUrl: peer.url,
    lane: (limited) => openLane(stack, limited),
    beside: async (options) =>
      startStack({
        ...options,
        database: await makeDatabase(admin, server.url),
        controlEnv: controlEnv(),
      }),
    async processors() {
      const all = await processorTimes();
      const of = (wanted: number) => total(all.filter(({ pid }) => pid === wanted));
      const below = (wanted: number) => total(all.filter(({ parent }) => parent === wanted));
      return {
        control: of(stack.control.pid),
        postgres: of(server.pid) + below(server.pid),
        bench: of(process.pid),
      };
    },
    async [Symbol.asyncDispose]() {
      await printStatements(sql);
      await sql.end({ timeout: 5 });
      await stack[Symbol.asyncDispose]();
      await admin.end({ timeout: 5 });
      await server.stop();
      isOver();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Prints the control plane's statements and their cost, if BENCH_STATEMENTS is 1. */
async function printStatements(sql: Sql): Promise<void> {
  if (process.env.BENCH_STATEMENTS !== "1") return;
  const rows = await sql`
    select calls, round(total_exec_time::numeric) as total, round(mean_exec_time::numeric, 3) as mean,
      plans, round(total_plan_time::numeric) as planning,
      left(regexp_replace(query, '[[:space:]]+', ' ', 'g'), 100) as query
    from pg_stat_statements where dbid = (select oid from pg_database where datname = current_database())
    order by total_exec_time + total_plan_time + calls * 0.05 desc limit 30`;
  console.error("calls  total ms  mean ms  plans  planning ms");
  for (const { calls, total, mean, plans, planning, query } of rows)
    console.error(calls, total, mean, plans, planning, query);
}

/** Picks by size. */
export function sized<Value>(arena: Pick<Arena, "size">, values: Record<Size, Value>): Value {
  return values[arena.size];
}
