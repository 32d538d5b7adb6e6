import { existsSync, lstatSync, readFileSync } from "node:fs";
import { appendFile, cp, readdir, rename, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { readAcknowledged } from "../../../worker/src/journal/ack-file.ts";
import type { TestProcess } from "../../harness/process.ts";
import { executionsOf, type LedgerLine } from "../ledger.ts";
import { childrenOf } from "../processes.ts";
import type { CreatedRun, Scene } from "../scene.ts";
import { allAtOnce, allCompleted, type Case } from "./case.ts";

/** kill -9 of several flows, each at a different moment. */
const flowKilled: Case = {
  name: "flow-kill",
  async act(scene) {
    await scene.worker();
    await scene.create("going", 2, { steps: 10 });
    await scene.create("stopping", 2, { steps: 10 });
    const killed = new Set<number>();
    for (let kills = 1; kills <= 4; kills++) {
      const steps = scene.random.whole(0, 5);
      const find = (lines: readonly LedgerLine[]) => alive(lines, { steps, not: killed });
      await scene.until("a flow to kill", (lines) => find(lines) !== undefined);
      const victim = find(await scene.ledger()) ?? 0;
      killed.add(victim);
      if (victim > 0) killIfThere(victim);
    }
  },
  expect: allCompleted,
};

/** A process that has done this many steps and, by the ledger and the system, is still alive. */
function alive(
  lines: readonly LedgerLine[],
  args: { steps: number; not: ReadonlySet<number> },
): number | undefined {
  return executionsOf(lines).find(
    (one) =>
      !one.ended &&
      !args.not.has(one.pid) &&
      one.steps.length >= args.steps &&
      existsSync(`/proc/${one.pid}`),
  )?.pid;
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself just before.
  }
}

/** Worker and flow die together, as when their machine runs out of memory. */
const bothKilled: Case = {
  name: "worker-and-flow-kill",
  async act(scene) {
    const keeper = await scene.worker();
    await scene.create("going", 3, { steps: 10 });
    await scene.begun(3);
    keeper.current().kill("SIGKILL");
    for (const { pid } of executionsOf(await scene.ledger())) killIfThere(pid);
    await scene.wait("the worker's return", () => keeper.deaths() > 0);
  },
  expect: allCompleted,
};

/** The worker is killed repeatedly; the flows' processes continue. */
const workerKilledOften: Case = {
  name: "worker-kill-often",
  async act(scene) {
    const keeper = await scene.worker();
    await scene.create("once", 3, { steps: 40 });
    await scene.begun(3);
    for (let kills = 1; kills <= 3; kills++) {
      await keeper.current().waitFor(/ready: polling/);
      keeper.current().kill("SIGKILL");
      await scene.wait("the worker's return", () => keeper.deaths() >= kills);
    }
  },
  expect: allAtOnce,
};

/** A worker dies for good, with its disk: another worker finishes its runs. */
const workerGone: Case = {
  name: "worker-gone",
  async act(scene) {
    const keeper = await scene.worker({ name: "gone" });
    await scene.create("going", 3, { steps: 10 });
    await scene.begun(3);
    await keeper.kill();
    for (const { pid, children } of executionsOf(await scene.ledger()))
      for (const one of [pid, ...children]) killIfThere(one);
    await scene.worker({ name: "heir" });
  },
  expect: allCompleted,
};

/** The worker is killed while it writes: every journal ends with a torn record or with garbage. */
const tornJournal: Case = {
  name: "journal-torn",
  async act(scene) {
    const keeper = await scene.worker();
    await scene.create("once", 3, { steps: 15 });
    await scene.begun(3);
    await keeper.kill();
    const dir = join(scene.stack.folder, "worker", "journals");
    let torn = 0;
    for (const name of await readdir(dir)) {
      for (const lane of ["control", "bulk"]) {
        const path = join(dir, name, `${lane}.journal`);
        if (!existsSync(path)) continue;
        const bytes = readFileSync(path);
        const half = bytes.subarray(-scene.random.whole(1, Math.min(400, bytes.length)));
        await appendFile(path, scene.random.chance(0.5) ? half : Buffer.alloc(half.length, 7));
        torn += 1;
      }
    }
    if (torn === 0) throw new Error("There is no journal to tear.");
    await scene.worker();
  },
  expect: allAtOnce,
};

/**
 * The disk loses the end of every journal of logs, including acknowledged records. The flows' processes live. An attempt continues,
 * unless the worker died before it recorded an acknowledgement: then the worker gives the attempt up, and another one runs.
 */
const lostJournal: Case = {
  name: "journal-lost-end",
  async act(scene) {
    const keeper = await scene.worker();
    await scene.create("going", 3, { steps: 15 });
    await scene.until("every run's logs", (lines) => lines.filter(({ what }) => what === "step").length > 12);
    await keeper.kill();
    const dir = join(scene.stack.folder, "worker", "journals");
    let cut = 0;
    for (const name of await readdir(dir)) {
      const path = join(dir, name, "bulk.journal");
      if (!existsSync(path) || (await readAcknowledged(join(dir, name, "bulk.ack"))) === 0) continue;
      const { length } = readFileSync(path);
      await truncate(path, scene.random.whole(Math.min(100, length), Math.floor(length / 2)));
      cut += 1;
    }
    if (cut === 0) throw new Error("There is no journal to cut.");
    await scene.worker();
  },
  expect: allCompleted,
};

/** The worker's machine is restored from a backup: its state folder is older than its reports. */
const stateRestored: Case = {
  name: "state-restored",
  async act(scene) {
    const keeper = await scene.worker();
    await scene.create("going", 3, { steps: 15 });
    await scene.begun(3);
    const [state, backup] = ["worker", "backup"].map((name) => join(scene.stack.folder, name));
    await cp(state ?? "", backup ?? "", { recursive: true, filter: (path) => !lstatSync(path).isSocket() });
    const steps = (lines: readonly LedgerLine[]) => lines.filter(({ what }) => what === "step").length;
    const then = steps(await scene.ledger());
    await scene.until("more to be reported", (lines) => steps(lines) > then + 12);
    await keeper.kill();
    for (const { pid, children } of executionsOf(await scene.ledger()))
      for (const one of [pid, ...children]) killIfThere(one);
    await rm(state ?? "", { recursive: true });
    await rename(backup ?? "", state ?? "");
    await scene.worker();
  },
  expect: allCompleted,
};

/** A journal without space: log lines are dropped and counted, and nothing else is affected. */
const fullJournal: Case = {
  name: "journal-full",
  async act(scene) {
    await scene.worker({ settings: { journal: { bulkBytes: 16 * 1024 } } });
    await scene.create("once", 2, { steps: 10, lines: 300, stepMs: 20 });
    await scene.settle();
    const [row] = await scene.sql<{ gaps: number }[]>`
      select count(*)::int as gaps from log_chunk where kind = 'gap'`;
    if ((row?.gaps ?? 0) === 0) throw new Error("No gap stands for the lines that found no room.");
  },
  expect: allAtOnce,
};

/** How often a failpoint is passed at most before the flows die. The first passes have runners but no flow. */
const FLOW_PLACES = {
  start: [1, 2],
  launch: [1, 2],
  journal: [4, 9],
  report: [4, 9],
  acknowledge: [4, 9],
} as const;

/** Flows, or the runners that are about to execute them, die while their worker is stopped at a failpoint. */
function flowKilledAt(place: keyof typeof FLOW_PLACES): Case {
  return {
    name: `flow-kill@${place}`,
    async act(scene) {
      const [least, most] = FLOW_PLACES[place];
      const nth = scene.random.whole(least, most);
      const keeper = await scene.worker({ env: { TOWPATH_FAILPOINTS: `${place}:pause:${nth}` } });
      const armed = keeper.current();
      await scene.create("going", 2, { steps: 12 });
      await scene.untilStill(armed);
      const victims = childrenOf(armed.pid);
      if (victims.length === 0) throw new Error("There is no flow to kill.");
      const spared = scene.random.whole(-1, victims.length - 1);
      for (const [index, pid] of victims.entries()) if (index !== spared) killIfThere(pid);
      armed.kill("SIGCONT");
    },
    expect: allCompleted,
  };
}

/** Kills the flow of a run, with all child processes of the worker, while the worker is stopped. */
async function killFlowOf(
  scene: Scene,
  args: { run: CreatedRun | undefined; armed: TestProcess },
): Promise<void> {
  const executions = executionsOf(await scene.ledger());
  const flow = executions.find(({ run, ended }) => run === args.run?.id && !ended);
  if (flow === undefined || !existsSync(`/proc/${flow.pid}`)) throw new Error("There is no flow to kill.");
  for (const pid of childrenOf(args.armed.pid)) killIfThere(pid);
  args.armed.kill("SIGCONT");
}

/** At a claim, the claimed run has no process yet: an already running flow dies, and the runner that would be next. */
const flowKilledAtClaim: Case = {
  name: "flow-kill@claim",
  async act(scene) {
    const armed = (await scene.worker({ env: { TOWPATH_FAILPOINTS: "claim:pause:2" } })).current();
    const [first] = await scene.create("going", 1, { steps: 12 });
    await scene.begun(1);
    const created = scene.create("going", 1);
    await scene.untilStill(armed);
    await killFlowOf(scene, { run: first, armed });
    await created;
  },
  expect: allCompleted,
};

/** At an end, the flow has ended by itself: another flow dies meanwhile. */
const flowKilledAtEnd: Case = {
  name: "flow-kill@end",
  async act(scene) {
    const armed = (await scene.worker({ env: { TOWPATH_FAILPOINTS: "end:pause:1" } })).current();
    const [long] = await scene.create("going", 1, { steps: 60 });
    await scene.begun(1);
    await scene.create("going", 1, { steps: 2 });
    await scene.untilStill(armed);
    await killFlowOf(scene, { run: long, armed });
  },
  expect: allCompleted,
};

/** All processes are killed at once. */
const everythingKilled: Case = {
  name: "everything-kill",
  async act(scene: Scene) {
    const keeper = await scene.worker();
    await scene.create("going", 2, { steps: 10 });
    const [victim] = await scene.create("stopping", 1, { steps: 60 });
    await scene.begun(3);
    if (victim !== undefined) await scene.cancel(victim);
    const control = scene.control;
    control.kill("SIGKILL");
    keeper.current().kill("SIGKILL");
    const flows = executionsOf(await scene.ledger());
    for (const { pid } of flows) if (scene.random.chance(0.5)) killIfThere(pid);
    await scene.wait("the return of both", () => keeper.deaths() > 0 && scene.controlDeaths > 0);
  },
  expect: allCompleted,
};

/** A wall clock that is an hour wrong changes no decision about leases. */
function wrongClock(hours: 1 | -1): Case {
  return {
    name: `clock-${hours > 0 ? "ahead" : "behind"}`,
    async act(scene) {
      const shift = `const now = Date.now; Date.now = () => now() + ${hours * 3_600_000};`;
      const env = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(shift)}` };
      await scene.worker({ env });
      await scene.create("once", 2, { steps: 20 });
      await scene.create("stopping", 2, { steps: 20 });
    },
    expect: allAtOnce,
  };
}

/** Cases about killed processes, torn files and wrong clocks. */
export const DEATH_CASES: readonly Case[] = [
  flowKilled,
  bothKilled,
  workerKilledOften,
  workerGone,
  everythingKilled,
  tornJournal,
  lostJournal,
  stateRestored,
  fullJournal,
  ...(["start", "launch", "journal", "report", "acknowledge"] as const).map(flowKilledAt),
  flowKilledAtClaim,
  flowKilledAtEnd,
  wrongClock(1),
  wrongClock(-1),
];
