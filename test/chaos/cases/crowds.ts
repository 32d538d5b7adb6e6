import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Assignment, type Fence, NEXT_PROTOCOL, uuidv7, WORKER_PROTOCOLS } from "@towpath/contract";
import { type Agent, askSession, openAgent, type RecordBody } from "../agent.ts";
import type { Scene } from "../scene.ts";
import { allAtOnce, type Case } from "./case.ts";

const AT = "2026-01-01T00:00:00.000Z";
const STARTED: RecordBody = { type: "started", at: AT, launcher: "cold" };
const ENDED: RecordBody = {
  type: "ended",
  at: AT,
  outcome: "completed",
  cause: null,
  exitCode: 0,
  lastBulkSeq: 0,
};

const keyOf = async (scene: Scene) => (await readFile(join(scene.stack.folder, "worker.key"), "utf8")).trim();

/** One attempt from claim to end. */
async function doOne(agent: Agent): Promise<Fence | null> {
  const { assignments } = await agent.claim({ waitMs: 5_000 });
  const [given] = assignments;
  if (given === undefined) return null;
  await agent.report(given, { control: [STARTED] });
  return given;
}

/** Many workers with one run each lose their connection, and all come back in the same moment. */
function reconnect(agents: number): Case {
  return {
    name: `reconnect-${agents}`,
    async act(scene) {
      const key = await keyOf(scene);
      const crowd = await Promise.all(
        Array.from({ length: agents }, () => openAgent({ url: scene.stack.url, key })),
      );
      await scene.create("once", agents);
      const held = await Promise.all(
        crowd.map(async (agent) => ({ agent, fence: (await doOne(agent)) ?? (await doOne(agent)) })),
      );
      const working = held.flatMap(({ agent, fence }) => (fence === null ? [] : [{ agent, fence }]));
      if (working.length < agents) throw new Error(`Only ${working.length} of ${agents} agents got a run.`);
      scene.control.kill("SIGKILL");
      await scene.wait("the control plane's return", () => scene.controlDeaths > 0);
      await Promise.all(working.map((one) => comeBack(scene, { ...one, key })));
    },
    async expect(scene) {
      const [row] = await scene.sql<{ not: number }[]>`
        select count(*)::int as not from run where state <> 'completed' or attempts <> 1`;
      return row?.not === 0 ? [] : [`${row?.not} runs were not completed at once`];
    },
  };
}

/** Opens a session, renews, polls without disowning anything, and ends the run. */
async function comeBack(scene: Scene, args: { agent: Agent; fence: Fence; key: string }): Promise<void> {
  const again = await openAgent({ url: scene.stack.url, key: args.key, workerId: args.agent.workerId });
  const { leases } = await again.renew([args.fence]);
  if (leases[0]?.status !== "renewed") throw new Error(`A lease was ${leases[0]?.status} after a return.`);
  const { commands } = await again.claim({ free: 0, held: [args.fence], waitMs: 0 });
  if (commands.length > 0) throw new Error("A worker that came back got a command to stop.");
  await again.report(args.fence, { control: [ENDED], from: 2 });
}

const [OLDEST] = WORKER_PROTOCOLS;
const NEWEST = Math.max(...WORKER_PROTOCOLS);

/** What workers of other releases offer, and the protocol that both sides then use. */
const SHARED: readonly (readonly [offered: readonly number[], agreed: number])[] = [
  [[OLDEST], OLDEST],
  [WORKER_PROTOCOLS, NEWEST],
  [[...WORKER_PROTOCOLS, NEWEST + 1], NEWEST],
  [[NEWEST + 1, NEWEST], NEWEST],
];

/** Lists of protocols without a common one, and the side that must be updated. */
const FOREIGN: readonly (readonly [offered: readonly number[], side: string])[] = [
  [[NEWEST + 1], "control plane"],
  [[0, NEWEST + 1], "control plane"],
  [[0], "worker"],
];

const LINE = { at: AT, level: "info", stream: "log", text: "said by an agent" };

/** Executes a run with an agent's protocol. @returns the assignments in the answer to its last report */
async function workThrough(
  agent: Agent,
  fence: Fence,
  next?: { readonly free: number },
): Promise<Assignment | undefined> {
  await agent.report(fence, { control: [STARTED], bulk: [{ type: "log", firstLine: 0, lines: [LINE] }] });
  const ended = { ...ENDED, lastBulkSeq: 1 };
  const answer = await agent.report(fence, { control: [ended], from: 2, ...(next && { next }) });
  const [own] = answer.attempts;
  if (own?.status !== "accepted" || own.controlAcked !== 2 || own.bulkAcked !== 1 || own.rejected.length > 0)
    throw new Error(`Protocol ${agent.session.protocol}: a report was answered ${JSON.stringify(answer)}.`);
  if (own.outcome?.state !== "completed") throw new Error(`An attempt ended as ${own.outcome?.state}.`);
  return answer.next?.assignments[0];
}

/** Executes two runs in turn. If the protocol allows it, the second comes with the answer to the first one's end. */
async function workAs(scene: Scene, args: { key: string; offered: readonly number[] }): Promise<void> {
  const agent = await openAgent({ url: scene.stack.url, key: args.key, protocols: args.offered });
  const rides = agent.session.protocol >= NEXT_PROTOCOL;
  await scene.create("once", 2);
  // An answer to a report carries only runs that are ready by then. The agent does not wait for more.
  await scene.wait("two runs that are ready", async () => {
    const [row] = await scene.sql<{ ready: number }[]>`
      select count(*)::int as ready from run where state = 'ready'`;
    return row?.ready === 2;
  });
  const [first] = (await agent.claim({})).assignments;
  if (first === undefined) throw new Error(`An agent of ${args.offered.join()} got no run.`);
  const ridden = await workThrough(agent, first, rides ? { free: 1 } : undefined);
  const second = rides ? ridden : (await agent.claim({})).assignments[0];
  if (second === undefined) throw new Error(`An agent of ${args.offered.join()} got no second run.`);
  await workThrough(agent, second);
}

/** Workers older and newer than the control plane agree on a protocol, or learn which side to update. */
const protocols: Case = {
  name: "protocols",
  async act(scene) {
    const key = await keyOf(scene);
    const ask = (offered: readonly number[]) =>
      askSession({ url: scene.stack.url, key, workerId: uuidv7(Date.now()), protocols: offered });
    for (const [offered, agreed] of SHARED) {
      const { status, body } = await ask(offered);
      if (status >= 300 || body.protocol !== agreed)
        throw new Error(`${offered.join()} was answered ${status}, protocol ${String(body.protocol)}.`);
      await workAs(scene, { key, offered });
    }
    for (const [offered, side] of FOREIGN) {
      const { status, body } = await ask(offered);
      const detail = String(body.detail);
      if (status !== 426 || body.code !== "protocol-unsupported" || !detail.includes(`Update the ${side}`))
        throw new Error(`${offered.join()} was answered ${status}: ${detail}`);
    }
    // A real worker works beside them.
    await scene.worker();
    await scene.create("once", 2);
  },
  expect: allAtOnce,
};

/** Many workers, and workers of other releases. */
export const CROWD_CASES: readonly Case[] = [reconnect(50), reconnect(200), protocols];
