import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Fence, uuidv7, WORKER_PROTOCOLS } from "@towpath/contract";
import { type Agent, askSession, openAgent, type Said } from "../agent.ts";
import type { Scene } from "../scene.ts";
import type { Case } from "./case.ts";

const AT = "2026-01-01T00:00:00.000Z";
const STARTED: Said = { type: "started", at: AT, launcher: "cold" };
const ENDED: Said = {
  ...{ type: "ended", at: AT, outcome: "completed", cause: null, exitCode: 0, lastBulkSeq: 0 },
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

/** Many workers that hold a run each lose their connection with the control plane, and all come back in one moment. */
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
    ledgerless: true,
  };
}

/** A new session, a renewal, a poll that disowns nothing, and the end. */
async function comeBack(scene: Scene, a: { agent: Agent; fence: Fence; key: string }): Promise<void> {
  const again = await openAgent({ url: scene.stack.url, key: a.key, workerId: a.agent.workerId });
  const { leases } = await again.renew([a.fence]);
  if (leases[0]?.status !== "renewed") throw new Error(`A lease was ${leases[0]?.status} after a return.`);
  const { commands } = await again.claim({ free: 0, held: [a.fence], waitMs: 0 });
  if (commands.length > 0) throw new Error("A worker that came back was told to stop.");
  await again.report(a.fence, { control: [ENDED], from: 2 });
}

/** Workers older and newer than the control plane: they agree on a protocol, or are told which side to update. */
const protocols: Case = {
  name: "protocols",
  async act(scene) {
    const key = await keyOf(scene);
    const newest = Math.max(...WORKER_PROTOCOLS);
    const ask = (offered: number[]) =>
      askSession({ url: scene.stack.url, key, workerId: uuidv7(Date.now()), protocols: offered });
    for (const offered of [[...WORKER_PROTOCOLS], [...WORKER_PROTOCOLS, newest + 1], [newest + 1, newest]]) {
      const { status, body } = await ask(offered);
      if (status >= 300 || body.protocol !== newest)
        throw new Error(`${offered.join()} was answered ${status}, protocol ${String(body.protocol)}.`);
    }
    for (const [offered, side] of [
      [[newest + 1], "control plane"],
      [[0], "worker"],
    ] as const) {
      const { status, body } = await ask([...offered]);
      const said = String(body.detail);
      if (status < 400 || body.code !== "protocol-unsupported" || !said.includes(`Update the ${side}`))
        throw new Error(`${offered.join()} was answered ${status}: ${said}`);
    }
    // A newer worker that agreed on ours does its work, real ones beside it.
    await scene.worker();
    await scene.create("once", 2);
  },
};

/** Many workers, and workers of other releases. */
export const CROWD_CASES: readonly Case[] = [reconnect(50), reconnect(200), protocols];
