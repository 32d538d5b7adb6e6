import { type Carry, countUpTo, type Root } from "../program.ts";
import { createKey, listKeys, revokeKey } from "./commands.ts";
import { createSigning, revokeSigning, rotateSigning, showSigning } from "./signing-commands.ts";

/** The days that workers accept the old key, unless the user says otherwise: longer than a spec is valid by default. */
const OVERLAP_DAYS = 100;
const overlapDays = countUpTo(3_650);

function keyGroup(root: Root) {
  return root
    .command("key")
    .summary("create and revoke keys")
    .description(
      "Creates, lists and revokes API keys for people and programs and worker keys for workers. Creates, rotates and revokes the keys that sign specs.",
    );
}

/** Declares `key`. */
export function declareIdentity(root: Root, carry: Carry): void {
  const key = keyGroup(root);
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
  declareSigning(key, carry);
}

type Group = ReturnType<typeof keyGroup>;

function declareSigning(key: Group, carry: Carry): void {
  const signing = key
    .command("signing")
    .summary("create, rotate and revoke the keys that sign specs")
    .description(
      "Creates, shows, rotates and revokes the keys that sign specs. Workers run only specs that are signed with a key they trust.",
    );
  signing
    .command("create")
    .description("Creates a signing key in the state folder. Never replaces one.")
    .action((_, command) => carry(command, createSigning));
  signing
    .command("show")
    .description("Shows the key that signs, and the keys in the trust file for workers.")
    .action((_, command) => carry(command, showSigning));
  signing
    .command("rotate")
    .summary("replace the signing key in two steps")
    .description(
      "Creates the next signing key, and a trust file with both for your workers. Once they have it, --finish lets the next key sign.",
    )
    .option("--finish", "let the next key sign, and end the old one after the overlap")
    .option(
      "--overlap <days>",
      "how long workers accept the old key after --finish",
      overlapDays,
      OVERLAP_DAYS,
    )
    .option("--next <file>", "name the file of the next key, if keys are kept outside of the state folder")
    .option(
      "--trust-file <file>",
      "write the keys for workers into this file (default: that of the state folder)",
    )
    .action(({ finish, overlap, next, trustFile }, command) =>
      carry(command, (invocation) =>
        rotateSigning(invocation, { finish: finish === true, overlapDays: overlap, next, trustFile }),
      ),
    );
  signing
    .command("revoke")
    .description("Marks a key as revoked in the trust file for workers. They refuse all specs of this key.")
    .argument("<key>", "the key's id, or its beginning, from `towpath key signing show`")
    .option("--trust-file <file>", "change this trust file instead of the one in the state folder")
    .action((kid, { trustFile }, command) =>
      carry(command, (invocation) => revokeSigning(invocation, { kid, trustFile })),
    );
}
