import type { Carry, Root } from "../program.ts";
import { createKey, createSigning, listKeys, revokeKey } from "./commands.ts";

/** Declares `key`. */
export function declareIdentity(root: Root, carry: Carry): void {
  const key = root
    .command("key")
    .summary("create and revoke keys")
    .description(
      "Creates, lists and revokes API keys for people and programs and worker keys for workers. Creates the key that signs specs.",
    );
  key
    .command("create")
    .description("Creates a key and prints it. It is shown only once.")
    .argument("<name>", "the key's name")
    .option("--worker", "create a worker key")
    .option("--pool <name>", "restrict a worker key to this pool (default: any pool)")
    .option("--role <role>", "set the role: viewer, operator, developer or admin (default: developer)")
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
    .description("Lists keys without their secrets, newest first.")
    .action((_, command) => carry(command, listKeys));
  key
    .command("revoke")
    .description("Revokes a key. Repeating it changes nothing.")
    .argument("<id>", "the key's id, from `towpath key ls`")
    .action((id, _, command) => carry(command, (invocation) => revokeKey(invocation, id)));
  key
    .command("signing")
    .summary("create the key that signs specs")
    .description(
      "Creates the key that signs specs. Workers run only specs that are signed with a key they trust.",
    )
    .command("create")
    .description("Creates a signing key in the state folder. Never replaces one.")
    .action((_, command) => carry(command, createSigning));
}
