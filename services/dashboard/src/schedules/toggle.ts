import type { QueryClient } from "@tanstack/react-query";
import type { Schedule } from "@towpath/contract";
import { client } from "../kernel/client.ts";

/**
 * Pauses or resumes a schedule.
 * @returns A sentence about the result.
 */
export async function toggleSchedule(cache: QueryClient, schedule: Schedule): Promise<string> {
  const params = { name: schedule.deployment, schedule: schedule.name };
  await (schedule.paused ? client.resumeSchedule({ params }) : client.pauseSchedule({ params }));
  await cache.invalidateQueries({ queryKey: ["schedules"] });
  const name = `${schedule.name} of ${schedule.deployment}`;
  return schedule.paused ? `${name} is resumed.` : `${name} is paused. It starts no runs.`;
}
