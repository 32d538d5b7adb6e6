import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Arena, sized } from "../arena.ts";
import { latencies, type Row } from "../figures.ts";
import { openPeer } from "../peer.ts";
import { nowMs, startFlowWorker } from "../project.ts";

/** Long enough for the next runner to have loaded the flow's code, milliseconds. */
const WARM_UP_MS = 1000;

/** Has the control plane hand out runs first: one that has just been started compiles what it is asked for. */
async function warmControl(arena: Arena, count: number): Promise<void> {
  const lane = await arena.lane();
  const agent = await lane.agent();
  for (let index = 0; index < count; index++) {
    const polling = agent.claim({ waitMs: 25_000 });
    await lane.enqueue();
    const { assignments } = await polling;
    await agent.start(assignments);
    await agent.end(assignments);
  }
}

async function ourTimes(arena: Arena, count: number): Promise<number[]> {
  const took: number[] = [];
  for (let index = 0; index < count; index++) {
    const file = join(arena.stack.folder, `first-${nowMs()}`);
    const startMs = nowMs();
    const runId = await arena.stack.run("first", { file });
    // Nobody looks at it meanwhile: that is work for the control plane just then, which the peer's jobs have not.
    await pause(WARM_UP_MS);
    const run = await arena.stack.waitForRun(runId);
    if (run.state !== "completed") throw new Error(`The run is ${run.state}: ${run.error?.message}`);
    took.push(Number(await readFile(file, "utf8")) - startMs);
  }
  return took;
}

/** From asking for a run until the first line of its flow, with a real worker that has run it before. */
export async function firstLineRow(arena: Arena): Promise<Row> {
  const rounds = sized(arena, { tiny: 1, quick: 3, full: 6 });
  const perRound = sized(arena, { tiny: 1, quick: 5, full: 10 });
  await using peer = await openPeer(arena.peerUrl);
  await using worker = await startFlowWorker(arena.stack, "first-line");
  await warmControl(arena, sized(arena, { tiny: 2, quick: 500, full: 500 }));
  await ourTimes(arena, Math.min(3, perRound));
  let arrive = (_ms: number) => {};
  await using _runner = await peer.start(() => arrive(nowMs()));
  const [ours, theirs]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    ours.push(...(await ourTimes(arena, perRound)));
    for (let index = 0; index < perRound; index++) {
      const arrived = new Promise<number>((resolve) => {
        arrive = resolve;
      });
      const startMs = nowMs();
      await peer.add();
      theirs.push((await arrived) - startMs);
      await pause(20);
    }
  }
  worker.kill("SIGTERM");
  await worker.exited;
  const [mine, other] = [latencies(ours), latencies(theirs)];
  return {
    row: "first-line",
    unit: "ms",
    ours: mine,
    peers: { "graphile-worker": other },
    ratio: (mine.p50 ?? 0) / (other.p50 ?? 1),
    aim: "p50 within 10 ms",
    how:
      "From the API call until the first line of a deployed flow, in a process of its own that has loaded the code since the run before: " +
      `claim, checks, journal, confirmed start, hand-over. The peer calls a function that is loaded already. ${ours.length} each.`,
  };
}
