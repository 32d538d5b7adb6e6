import { readFile } from "node:fs/promises";
import { createClient } from "@towpath/client";
import { isFinalRunState, type Run, uuidv7 } from "@towpath/contract";
import postgres from "postgres";
import { expect, test } from "vitest";
import { createEmptyDatabase, type Stack, startStack } from "../harness/index.ts";
import { startHttpBalancer } from "./balancer.fixture.ts";
import { layOutEarlierRelease } from "./earlier-release.fixture.ts";
import { deployHeld, letGo, startHeld, workFolder } from "./fixture.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

const earlier = await layOutEarlierRelease();

/** How many clients send requests at once. */
const ASKERS = 2;

/** Creates runs one after the other and reads pages, through one address. It never repeats a request. */
class Load {
  readonly runs: Run[] = [];
  readonly #waiting = new Set<{ count: number; done: () => void }>();
  #isOver = false;
  readonly #asking: Promise<unknown>;

  constructor(args: { stack: Stack; url: string; token: string }) {
    this.#asking = Promise.all(Array.from({ length: ASKERS }, () => this.#ask(args)));
    this.#asking.catch(() => this.#wake(true));
  }

  /** Settles when this many more runs have ended. */
  async goesOn(count = 2): Promise<void> {
    const { promise, resolve: done } = Promise.withResolvers<void>();
    this.#waiting.add({ count: this.runs.length + count, done });
    await Promise.race([promise, this.#asking]);
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#asking;
  }

  async #ask({ stack, url, token }: { stack: Stack; url: string; token: string }): Promise<void> {
    const client = createClient({ url, token });
    const once = { retries: 0 };
    while (!this.#isOver) {
      const folder = await workFolder(stack);
      await letGo(folder);
      const id = uuidv7(Date.now());
      await client.createRun({ body: { id, deployment: "held", parameters: { folder } } }, once);
      let run = await client.getRun({ params: { runId: id } }, once);
      while (!isFinalRunState(run.state)) {
        await client.listRuns({ query: { limit: 10 } }, once);
        await client.getRunWhy({ params: { runId: id } }, once);
        run = await client.getRun({ params: { runId: id } }, once);
      }
      this.runs.push(run);
      this.#wake(false);
    }
  }

  #wake(all: boolean): void {
    for (const one of this.#waiting)
      if (all || this.runs.length >= one.count) {
        this.#waiting.delete(one);
        one.done();
      }
  }
}

async function countMigrations(url: string): Promise<number> {
  const sql = postgres(url, { max: 1 });
  const [row] = await sql`select count(*)::int as count from drizzle.__drizzle_migrations`;
  await sql.end();
  return row?.count;
}

test.skipIf(earlier === null)(
  "the release before works on beside this one under load, then leaves: no request fails, and no run notices",
  { timeout: 300_000 },
  async () => {
    await using release = earlier;
    const root = release?.root ?? "";
    const database = await createEmptyDatabase();
    await using balancer = await startHttpBalancer();
    await using stack = await startStack({ database, root });
    balancer.targets = [stack.url];
    await deployHeld(stack);
    const settings = { url: balancer.url };
    const old = await stack.startWorker({ name: "earlier", settings });
    const token = (await readFile(`${stack.folder}/control/admin.key`, "utf8")).trim();
    const before = await countMigrations(stack.databaseUrl);
    const load = new Load({ stack, url: balancer.url, token });
    await load.goesOn();
    const across = await startHeld(stack);

    const next = await stack.startBeside("next", { root: ROOT });
    expect(await countMigrations(stack.databaseUrl)).toBeGreaterThan(before);
    await load.goesOn();
    balancer.targets = [stack.url, next.url];
    await load.goesOn(4);

    balancer.targets = [next.url];
    stack.control.kill("SIGTERM");
    expect(await stack.control.exited).toBe(0);
    await load.goesOn();

    await stack.startWorker({ name: "next-worker", settings, root: ROOT });
    await letGo(across.work);
    old.kill("SIGTERM");
    expect(await old.exited).toBe(0);
    await load.goesOn();
    await load.end();

    const runs = [...load.runs, await next.client.getRun({ params: { runId: across.runId } })];
    for (const run of runs)
      expect(run, JSON.stringify(run.attemptList)).toMatchObject({ state: "completed", attempts: 1 });
    expect(new Set(runs.map((run) => run.attemptList[0]?.worker?.name))).toEqual(
      new Set(["earlier", "next-worker"]),
    );
    expect(balancer.failures).toEqual([]);
    expect(Math.min(...balancer.answered.values())).toBeGreaterThan(0);
  },
);
