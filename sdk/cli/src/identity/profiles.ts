import { findAddress } from "../kernel/connection.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { changeUserConfig, profileNamed, readUserConfig } from "../kernel/profiles.ts";
import { printable } from "../output.ts";
import type { Carry, Root } from "../program.ts";

/** The address that the next command uses here without options, or null if there is none. */
async function addressHere({ config, cwd, globals }: Invocation) {
  return await findAddress(config, { state: globals.state, from: cwd }).catch(() => null);
}

/** Says that commands do not use a profile here, because something else gives the address. */
export async function noteOtherAddress(invocation: Invocation, name: string): Promise<void> {
  const { output } = invocation;
  const here = await addressHere(invocation);
  if (here === null || here.profile === name) return;
  output.note(
    `${output.style.yellow("!")} here, commands use ${here.url} instead (from ${here.from}); add --profile ${name} to use this profile`,
  );
}

/** `towpath profiles ls`. Never prints a key. */
async function listProfiles(invocation: Invocation): Promise<void> {
  const { output, config } = invocation;
  const { file, profiles, active } = await readUserConfig(config.userConfigFile);
  const here = await addressHere(invocation);
  const items = profiles.map(({ name, url, key, workspace = null }) => ({
    name,
    url,
    workspace,
    hasKey: key !== undefined,
    active: name === active,
  }));
  output.data({ file, items, here });
  if (items.length === 0) output.next("`towpath login URL --profile NAME` creates a profile");
  else
    output.table(
      ["", "NAME", "SERVER", "WORKSPACE", ""],
      items.map((one) => [
        one.active ? output.style.green("*") : "",
        printable(one.name),
        printable(one.url),
        printable(one.workspace ?? ""),
        one.hasKey ? "" : "no key",
      ]),
    );
  if (active !== null) await noteOtherAddress(invocation, active);
  else if (here !== null) output.line(`Commands here use ${here.url} (from ${here.from}).`);
  else if (items.length > 0) output.next("`towpath profiles use NAME` chooses one");
}

/** `towpath profiles use NAME` */
async function useProfile(invocation: Invocation, name: string): Promise<void> {
  const { output, config } = invocation;
  await changeUserConfig(config.userConfigFile, (before) => ({
    profiles: before.profiles,
    active: profileNamed(before, name).name,
  }));
  output.data({ active: name });
  output.line(`${output.style.green("✓")} commands use the profile ${output.style.bold(name)}`);
  await noteOtherAddress(invocation, name);
}

/** `towpath profiles rm NAME` */
async function removeProfile(invocation: Invocation, name: string): Promise<void> {
  const { output, config } = invocation;
  const after = await changeUserConfig(config.userConfigFile, (before) => {
    profileNamed(before, name);
    return { profiles: before.profiles.filter((one) => one.name !== name), active: before.active };
  });
  output.data({ removed: name, active: after.active });
  output.line(`${output.style.green("✓")} removed the profile ${output.style.bold(name)}`);
  output.note(output.style.dim("Its key still works until an admin revokes it."));
  if (after.active === null && after.profiles.length > 0)
    output.next("no profile is in use now; `towpath profiles use NAME` chooses one");
}

/** Declares `profiles`. */
export function declareProfiles(root: Root, carry: Carry): void {
  const profiles = root
    .command("profiles")
    .alias("profile")
    .summary("list, choose and remove profiles")
    .description(
      "Lists, chooses and removes profiles. A profile is the address of a control plane and a key for one of its workspaces. `towpath login` creates one.",
    );
  profiles.allowExcessArguments().action((_, command) => {
    const [word] = command.args;
    if (word !== undefined) command.error(`error: unknown command '${word}'`);
    return carry(command, listProfiles);
  });
  profiles
    .command("ls")
    .description("Lists your profiles. A star marks the one that commands use.")
    .action((_, command) => carry(command, listProfiles));
  profiles
    .command("use")
    .description("Uses a profile from now on.")
    .argument("<name>", "the profile's name")
    .action((name, _, command) => carry(command, (invocation) => useProfile(invocation, name)));
  profiles
    .command("rm")
    .description("Removes a profile with its key from your configuration. Does not revoke the key.")
    .argument("<name>", "the profile's name")
    .action((name, _, command) => carry(command, (invocation) => removeProfile(invocation, name)));
}
