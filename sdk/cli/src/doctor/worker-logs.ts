import { z } from "zod";
import { bad, type Check, good } from "./checks.ts";

/** The setting for log lines. The worker names a wrong value when it starts. */
export const WorkerLogs = z.enum(["sealed", "stored"]).optional().catch(undefined);

/** Says what of a log line leaves the worker's machine. */
export function checkLogs({ logs, hasKeys }: { logs: z.output<typeof WorkerLogs>; hasKeys: boolean }): Check {
  if (logs !== undefined && !hasKeys)
    return bad(
      "log lines",
      `"logs" is "${logs}", and there are no workspaceKeys`,
      'create a key with `towpath workspace new-key`, and add it to "workspaceKeys"',
    );
  if (logs === "stored") return good("log lines", "their texts stay in the store of the run");
  return good(
    "log lines",
    hasKeys ? "leave sealed with the first workspace key" : "leave as plain text, without secrets",
  );
}
