import type { QueryClient } from "@tanstack/react-query";
import type { Schedule } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import type { Done } from "../kernel/toast.tsx";

/** Pauses or resumes a schedule. The result can be undone. */
export async function toggleSchedule(cache: QueryClient, schedule: Schedule): Promise<Done> {
  const { deployment, name, paused } = schedule;
  const params = { name: deployment, schedule: name };
  await (paused ? client.resumeSchedule({ params }) : client.pauseSchedule({ params }));
  await cache.invalidateQueries({ queryKey: ["schedules"] });
  return {
    text: `${name} of ${deployment} is ${paused ? "resumed." : "paused. It starts no runs."}`,
    undo: () => toggleSchedule(cache, { ...schedule, paused: !paused }),
  };
}
