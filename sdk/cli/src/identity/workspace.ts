import { readFile } from "node:fs/promises";
import { keyBytesOf, newWorkspaceKey, openKeyring, SealError } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { canAsk, confirmed } from "../kernel/confirm.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { changeUserConfig, profileNamed } from "../kernel/profiles.ts";
import type { Carry, Root } from "../program.ts";

/** The short id of a key. @throws Failure for a text that is no workspace key. */
async function kidOf(text: string, from: string): Promise<string> {
  try {
    keyBytesOf(text);
  } catch (cause) {
    if (!(cause instanceof SealError)) throw cause;
    throw new Failure(`${from} does not hold a workspace key.`, {
      exit: "usage",
      code: "bad-workspace-key",
      next: [
        "a workspace key is one line that begins with twp_seal_; `towpath workspace new-key` creates one",
      ],
      cause,
    });
  }
  const [kid = ""] = (await openKeyring([text])).kids;
  return kid;
}

/** `towpath workspace show` */
async function showWorkspace(invocation: Invocation): Promise<void> {
  const { output } = invocation;
  const connection = await invocation.connect();
  const { workspace } = await connection.client.getMe();
  const [first, ...others] = connection.workspaceKeys;
  const keys = first === undefined ? [] : (await openKeyring([first, ...others])).kids;
  output.data({ ...workspace, keys });
  output.line(`workspace  ${workspace.name} (${workspace.id})`);
  output.line(`sealed     ${workspace.sealed ? "yes" : "no"}`);
  output.line(`keys here  ${keys.length === 0 ? "none" : keys.join(", ")}`);
  if (workspace.sealed && keys.length === 0)
    output.next("set TOWPATH_WORKSPACE_KEY, or store the key with `towpath workspace add-key FILE`");
}

/** `towpath workspace new-key`: only the key goes to stdout, so that a script can take it from there. */
async function newKey(invocation: Invocation): Promise<void> {
  const { output } = invocation;
  const key = newWorkspaceKey();
  const kid = await kidOf(key, "The new key");
  output.data({ key, kid });
  output.line(key);
  output.note(
    output.style.dim(
      `Keep it where only your side can read it. Without it nobody can open sealed values. Its id is ${kid}.`,
    ),
  );
}

/** `towpath workspace add-key FILE`: stores a key in the profile, in front of the others. */
async function addKey(invocation: Invocation, file: string): Promise<void> {
  const { output, config } = invocation;
  const { profile } = await invocation.connect();
  if (profile === null || profile === undefined)
    throw new Failure("Commands use no profile here, so the key cannot be stored in one.", {
      exit: "configuration",
      next: ["set TOWPATH_WORKSPACE_KEY instead, or sign in first: `towpath login URL`"],
    });
  const text = (
    await readFile(file, "utf8").catch((cause: unknown) => {
      throw new Failure(`${file} cannot be read.`, { exit: "usage", next: ["check the path"], cause });
    })
  ).trim();
  const kid = await kidOf(text, file);
  await changeUserConfig(config.userConfigFile, (before) => {
    const found = profileNamed(before, profile);
    const workspaceKeys = [text, ...(found.workspaceKeys ?? []).filter((one) => one !== text)];
    const profiles = before.profiles.map((one) => (one.name === profile ? { ...one, workspaceKeys } : one));
    return { profiles, active: before.active };
  });
  output.data({ profile, kid });
  output.line(
    `${output.style.green("✓")} the profile ${output.style.bold(profile)} seals with the key ${kid}`,
  );
  output.note(
    output.style.dim(`The key is in ${config.userConfigFile}. Only you can read it, and it is never sent.`),
  );
}

/** `towpath workspace seal` and `towpath workspace unseal` */
async function setSealing(
  invocation: Invocation,
  { sealed, yes }: { sealed: boolean; yes: boolean },
): Promise<void> {
  const { output } = invocation;
  const connection = await invocation.connect();
  if (sealed && connection.workspaceKeys.length === 0)
    throw new Failure("There is no workspace key here, so your own commands would be refused afterwards.", {
      exit: "configuration",
      code: "no-workspace-key",
      next: [
        "`towpath workspace new-key > workspace.key` creates one",
        "give it to every worker (`workspaceKeys`), then run `towpath workspace add-key workspace.key` here",
      ],
    });
  const { workspace } = await connection.client.getMe();
  const question = sealed
    ? `Refuse plain values in the workspace ${workspace.name} from now on?`
    : `Take plain values in the workspace ${workspace.name} again?`;
  if (!yes && !canAsk(invocation))
    throw new Failure("Nothing was changed.", { exit: "usage", code: "not-confirmed", next: ["add --yes"] });
  if (!yes && !(await confirmed(invocation, question))) return;
  const answer = await connection.client.setSealing({ body: { sealed } });
  output.data(answer);
  output.line(
    `${output.style.green("✓")} the workspace ${output.style.bold(workspace.name)} ${sealed ? "is sealed" : "takes plain values again"}`,
  );
  output.note(
    output.style.dim(
      sealed
        ? "Plain values of runs that have ended stay until their retention ends."
        : "Workers and commands with a key go on sealing.",
    ),
  );
}

/** Declares `workspace`. */
export function declareWorkspace(root: Root, carry: Carry): void {
  const workspace = root
    .command("workspace")
    .summary("seal the workspace, and manage its keys")
    .description(
      "Shows and seals the workspace. The control plane of a sealed workspace stores parameters, errors, log lines, artifacts, questions and answers only as ciphertext.",
    );
  workspace
    .command("show")
    .description("Shows whether the workspace is sealed, and which workspace keys are configured here.")
    .action((_, command) => carry(command, showWorkspace));
  workspace
    .command("new-key")
    .description("Creates a workspace key and prints it. Sends and stores nothing.")
    .addHelpText("after", "\nExample:\n  $ (umask 077; towpath workspace new-key > workspace.key)")
    .action((_, command) => carry(command, newKey));
  workspace
    .command("add-key")
    .description(
      "Stores a workspace key in the profile in use. It seals from now on; earlier keys still open.",
    )
    .argument("<file>", "file with the key")
    .action((file, _, command) => carry(command, (invocation) => addKey(invocation, file)));
  workspace
    .command("seal")
    .description(
      "Turns sealing on: from now on the control plane refuses plain values. Needs the role admin.",
    )
    .option("--yes", "do not ask")
    .action(({ yes = false }, command) =>
      carry(command, (invocation) => setSealing(invocation, { sealed: true, yes })),
    );
  workspace
    .command("unseal")
    .description("Turns sealing off: the control plane takes plain values again. Needs the role admin.")
    .option("--yes", "do not ask")
    .action(({ yes = false }, command) =>
      carry(command, (invocation) => setSealing(invocation, { sealed: false, yes })),
    );
}
