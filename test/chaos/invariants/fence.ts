import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Fence, ROUTES, uuidv7 } from "@towpath/contract";
import { openAgent } from "../agent.ts";
import type { Scene } from "../scene.ts";
import type { Breach } from "./tables.ts";

const PROBED_MAX = 6;

/** Everything that a write could change, as one text. Late reports are stored separately on purpose, and are not in it. */
async function everything(scene: Scene): Promise<string> {
  const [row] = await scene.sql<{ all: string }[]>`
    select md5(concat(
      (select string_agg(r::text, '|' order by id) from run r),
      (select string_agg(a::text, '|' order by id) from attempt a),
      (select string_agg(t::text, '|' order by attempt_id, ord) from task_run t),
      (select string_agg(l::text, '|' order by attempt_id, first_line) from log_chunk l))) as all`;
  return row?.all ?? "";
}

/** Invariant 3: a write with a stale epoch or nonce changes nothing, and is refused. Sends some and compares. */
export async function staleChangesNothing(scene: Scene): Promise<Breach[]> {
  const rows = await scene.sql<{ id: string; epoch: number; nonce: string; worker_id: string }[]>`
    select id, epoch::int as epoch, nonce, worker_id from attempt
    where nonce is not null and worker_id is not null order by id desc limit ${PROBED_MAX}`;
  const breaches: Breach[] = [];
  const before = await everything(scene);
  for (const row of rows) {
    const key = (await readFile(join(scene.stack.folder, "worker.key"), "utf8")).trim();
    // Sent as the worker that had the attempt: only epoch and nonce are wrong.
    const agent = await openAgent({ url: scene.stack.url, key, workerId: row.worker_id });
    const stale: Fence[] = [
      { attemptId: row.id, epoch: row.epoch + 1, nonce: row.nonce },
      { attemptId: row.id, epoch: row.epoch, nonce: "00000000-0000-4000-8000-000000000000" },
    ];
    for (const fence of stale) {
      const report = await agent.report(fence, {
        control: [
          { type: "started", at: "2026-01-01T00:00:00.000Z", launcher: "cold" },
          {
            type: "ended",
            at: "2026-01-01T00:00:00.000Z",
            outcome: "completed",
            cause: null,
            exitCode: 0,
            lastBulkSeq: 99,
          },
        ],
        bulk: [{ type: "gap", firstLine: 0, lines: 5, reason: "stale" }],
        from: 1_000,
      });
      const told = report.attempts[0]?.status;
      if (told !== "stale") breaches.push({ invariant: 3, seen: `a stale report was ${told}` });
      const renewed = await agent.renew([fence]);
      const lease = renewed.leases[0]?.status;
      if (lease !== "gone") breaches.push({ invariant: 3, seen: `a stale lease was ${lease}` });
      const call = await agent.post(ROUTES.call.path, {
        ...fence,
        callId: uuidv7(Date.now()),
        call: { kind: "get-run", runId: row.id },
      });
      if (call.status !== 409 || call.body.code !== "stale-fence")
        breaches.push({
          invariant: 3,
          seen: `a stale call was answered ${call.status} ${String(call.body.code)}`,
        });
    }
  }
  if ((await everything(scene)) !== before)
    breaches.push({ invariant: 3, seen: "a stale write changed something" });
  return breaches;
}
