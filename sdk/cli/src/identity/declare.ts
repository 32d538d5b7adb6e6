import type { Carry, Root } from "../program.ts";
import { createKey, createSigning, listKeys, revokeKey } from "./commands.ts";

/** Declares `key`. */
export function declareIdentity(root: Root, carry: Carry): void {
  const key = root
    .command("key")
    .summary("make and revoke keys")
    .description("API keys for people and programs, worker keys for workers, and the key that signs specs.");
  key
    .command("create")
    .description("Makes a key and prints it, this once.")
    .argument("<name>", "what it is for")
    .option("--worker", "a key for workers instead of people and programs")
    .option("--pool <name>", "the pool that a worker key may serve (any, if none is named)")
    .option("--role <role>", "viewer, operator, developer or admin; developer if none is named")
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath key create ci --role developer\n  $ towpath key create gpu-1 --worker --pool gpu",
    )
    .action((name, options, command) =>
      carry(command, (invocation) => {
        const { worker = false, pool, role } = options;
        return createKey(invocation, { name, worker, pool, role });
      }),
    );
  key
    .command("ls")
    .description("Lists keys, newest first, never their secrets.")
    .action((_, command) => carry(command, listKeys));
  key
    .command("revoke")
    .description("Revokes a key at once. Repeating it changes nothing.")
    .argument("<id>", "the key's id, as `towpath key ls` shows it")
    .action((id, _, command) => carry(command, (invocation) => revokeKey(invocation, id)));
  key
    .command("signing")
    .summary("the key that signs specs")
    .description("The key that signs specs. Workers run only what a key they trust has signed.")
    .command("create")
    .description("Makes a signing key in the state folder. Never replaces one.")
    .action((_, command) => carry(command, createSigning));
}
