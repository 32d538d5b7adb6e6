import type { Carry, Root } from "../program.ts";
import { doctor } from "./commands.ts";

/** Declares `doctor`. */
export function declareDoctor(root: Root, carry: Carry): void {
  root
    .command("doctor")
    .summary("check the whole chain, with remedies")
    .description(
      "Looks at server, key, clocks, pools, signing key, registry and store; says what to do about each fault. Exit code 1 when there is one.",
    )
    .option(
      "--config <file>",
      "look at a worker's configuration instead, on the worker's machine and as its user",
    )
    .action(({ config }, command) => carry(command, (invocation) => doctor(invocation, config)));
}
