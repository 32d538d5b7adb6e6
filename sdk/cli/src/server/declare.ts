import { inForeground, programEnvironment } from "../kernel/foreground.ts";
import type { Carry, Root } from "../program.ts";

/** Declares `server`. */
export function declareServer(root: Root, carry: Carry): void {
  root
    .command("server")
    .summary("start a control plane")
    .description(
      "Starts a control plane, which schedules runs and stores their metadata and logs. Its settings come from the environment.",
    )
    .command("start")
    .description(
      "Starts a control plane in the foreground. Settings are environment variables: DATABASE_URL, TOWPATH_STATE_DIR, TOWPATH_HOST, TOWPATH_PORT, TOWPATH_PUBLIC_URL, TOWPATH_BOOTSTRAP. The control plane prints its log: text on a terminal, JSON in a pipe or with --json or LOG_FORMAT=json.",
    )
    .addHelpText(
      "after",
      "\nExample:\n  $ TOWPATH_BOOTSTRAP=1 TOWPATH_STATE_DIR=/var/lib/towpath towpath server start",
    )
    .action((_, command) =>
      carry(command, (invocation) =>
        inForeground("control", { args: [], environment: programEnvironment(invocation) }),
      ),
    );
}
