import type { Scene } from "../scene.ts";

/**
 * Invariant 8: every instant of the scene's schedule, up to the last one, has one run or a reason why it has none.
 * @returns What is wrong.
 */
export async function instantsDecided(scene: Scene, everyMs: number): Promise<string[]> {
  const rows = await scene.sql<{ at: Date; until: Date | null; run_id: string | null; runs: number }[]>`
    select i.at, i.until, i.run_id, (select count(*)::int from run r where r.trigger::jsonb ->> 'kind' = 'schedule'
      and (r.trigger::jsonb ->> 'dueAt')::timestamptz = i.at) as runs
    from schedule_instant i order by i.at`;
  if (rows.length === 0) return ["no instant was decided"];
  const faults = rows.flatMap(({ at, run_id, runs }) =>
    runs === (run_id === null ? 0 : 1) ? [] : [`instant ${at.toISOString()} has ${runs} runs`],
  );
  for (const [index, { at }] of rows.entries()) {
    const before = rows[index - 1];
    const last = before?.until ?? before?.at;
    if (last !== undefined && at.getTime() - last.getTime() !== everyMs)
      faults.push(`no instant is decided between ${last.toISOString()} and ${at.toISOString()}`);
  }
  return faults;
}
