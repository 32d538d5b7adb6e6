import type { Carry, Root } from "../program.ts";
import { doctor } from "./commands.ts";

/** Declares `doctor`. */
export function declareDoctor(root: Root, carry: Carry): void {
  root
    .command("doctor")
    .summary("find faults in the set-up and how to fix them")
    .description(
      "Checks the server, key, clock, pools, signing key, registry and store. Says how to fix each fault. The exit code is 1 if there is a fault.",
    )
    .option(
      "--config <file>",
      "check this worker configuration instead; run it on the worker's machine, as the worker's user",
    )
    .action(({ config }, command) => carry(command, (invocation) => doctor(invocation, config)));
}
