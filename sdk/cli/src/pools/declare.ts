import type { Carry, Root } from "../program.ts";
import { createPool, listPools } from "./commands.ts";

/** Declares `pool`. */
export function declarePools(root: Root, carry: Carry): void {
  const pool = root
    .command("pool")
    .summary("list and create work pools")
    .description("A pool is where work runs: workers serve it, deployments name it.");
  pool
    .command("ls")
    .description("Lists pools with their workers and what waits.")
    .action((_, command) => carry(command, listPools));
  pool
    .command("create")
    .description("Makes a pool. Repeating it changes nothing.")
    .argument("<name>", "lower-case letters, digits, - and _")
    .action((name, _, command) => carry(command, (invocation) => createPool(invocation, name)));
}
