import { createClient } from "@towpath/client";
import type { Me } from "@towpath/contract";
import { Failure, type Spoken, toFailure } from "../failure.ts";
import { canAsk } from "../kernel/confirm.ts";
import { checkedUrl, LOOPBACK } from "../kernel/connection.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { networkFetch } from "../kernel/network.ts";
import {
  changeUserConfig,
  checkProfileName,
  DEFAULT_PROFILE,
  type Profile,
  readUserConfig,
  type UserConfig,
} from "../kernel/profiles.ts";
import type { Carry, Root } from "../program.ts";
import { noteOtherAddress } from "./profiles.ts";

/** How a worker's key begins. */
const WORKER_KEY = /^twp_wkr_/;

/**
 * The address: the argument, else that of `--url`, of TOWPATH_URL, or of the profile to renew. TOWPATH_URL comes before the profile,
 * so that the key beside it in the environment is sent to no other server.
 */
function addressFor(invocation: Invocation, args: { typed: string | undefined; before: Profile | null }) {
  const { globals, config } = invocation;
  const sources = [
    { url: args.typed, from: "the command line" },
    { url: globals.url, from: "--url" },
    { url: config.url, from: "TOWPATH_URL" },
    { url: args.before?.url, from: "the profile" },
  ];
  const { url, from } = sources.find((one) => one.url !== undefined) ?? {};
  if (url !== undefined && from !== undefined) return { url: checkedUrl(url, from), from };
  throw new Failure("The address of the control plane is missing.", {
    exit: "usage",
    next: ["`towpath login https://towpath.example.com --profile NAME`"],
  });
}

/** The key: `--key`, else TOWPATH_KEY, else typed on the terminal without being shown. */
async function keyFor(invocation: Invocation, url: string): Promise<{ key: string; from: string }> {
  const { globals, config } = invocation;
  if (globals.key) return { key: globals.key, from: "--key" };
  if (config.key !== undefined) return { key: config.key, from: "TOWPATH_KEY" };
  const create =
    "create a key on the dashboard's page Keys, or ask an admin to run `towpath key create NAME`";
  if (!canAsk(invocation))
    throw new Failure("The key is missing.", {
      exit: "usage",
      next: ["set TOWPATH_KEY, or run the command on a terminal and type the key", create],
    });
  const { isCancel, password } = await import("@clack/prompts");
  const typed = await password({
    message: `API key for ${url}`,
    validate: (value) => (value?.trim() ? undefined : "A key is needed."),
  });
  if (isCancel(typed)) throw new Failure("Nothing was stored.", { exit: "interrupted", next: [create] });
  return { key: typed.trim(), from: "the terminal" };
}

/** @throws Failure if the profile has another server or workspace, whose key would be lost. */
function withProfile({ profiles }: UserConfig, fresh: Profile): Pick<UserConfig, "profiles" | "active"> {
  const before = profiles.find(({ name }) => name === fresh.name);
  const isOther =
    before !== undefined &&
    (before.url.replace(/\/+$/, "") !== fresh.url ||
      (before.workspaceId === undefined
        ? before.workspace !== undefined && before.workspace !== fresh.workspace
        : before.workspaceId !== fresh.workspaceId));
  if (isOther)
    throw new Failure(
      `The profile "${fresh.name}" is for ${before.url}${before.workspace === undefined ? "" : ` (workspace ${before.workspace})`}, and this key is for ${fresh.url} (workspace ${fresh.workspace ?? ""}).`,
      {
        exit: "cannotWrite",
        code: "profile-exists",
        next: [
          `\`towpath login ${fresh.url} --profile NAME\` stores it under another name`,
          `or remove the old one first: \`towpath profiles rm ${fresh.name}\``,
        ],
      },
    );
  const rest = profiles.filter(({ name }) => name !== fresh.name);
  return { profiles: [...rest, fresh], active: fresh.name };
}

/** `towpath login [URL]`: checks a key and stores it with its address as a profile, which is used from now on. */
async function login(invocation: Invocation, typed: string | undefined): Promise<void> {
  const { output, config, globals } = invocation;
  const file = config.userConfigFile;
  const name = checkProfileName(globals.profile ?? config.profile ?? DEFAULT_PROFILE);
  const before = (await readUserConfig(file)).profiles.find((one) => one.name === name) ?? null;
  const { url, from } = addressFor(invocation, { typed, before });
  if (url.startsWith("http:") && !LOOPBACK.test(new URL(url).hostname))
    output.note(`${output.style.yellow("!")} ${url} has no TLS: others on the network can read the key`);
  const { key, from: keyFrom } = await keyFor(invocation, url);
  if (WORKER_KEY.test(key))
    throw new Failure(`The key from ${keyFrom} is a worker key. Commands need an API key.`, {
      exit: "usage",
      next: [`\`towpath key create NAME\` creates an API key`],
    });
  const { environment } = config;
  const client = createClient({ url, token: key, fetch: networkFetch(environment) });
  const spoken = { url, urlFrom: from, keyFrom, environment };
  const me = await client.getMe().catch((thrown: unknown) => {
    throw toFailure(thrown, spoken);
  });
  const { name: workspace, id: workspaceId } = me.workspace;
  const after = await changeUserConfig(file, (stored) =>
    withProfile(stored, { name, url, key, workspace, workspaceId }),
  );
  output.data({ profile: name, url, workspace, role: me.key.role, file });
  output.line(
    `${output.style.green("✓")} signed in to ${url} as ${output.style.bold(name)}: workspace ${workspace}, role ${me.key.role}`,
  );
  output.note(output.style.dim(`The key is in ${file}. Only you can read it.`));
  if (after.profiles.length > 1) output.next("`towpath profiles ls` lists your profiles");
  await noteOtherAddress(invocation, name);
}

/** Who is calling, where, and what says so. */
async function whoAmI(invocation: Invocation): Promise<void> {
  const { output } = invocation;
  const connection = await invocation.connect();
  const me = await connection.client.getMe();
  const { profile = null, url, urlFrom, keyFrom } = connection;
  output.data({ profile, url, urlFrom, keyFrom, ...me });
  for (const [title, text] of rowsOf(connection, me)) output.line(`${title.padEnd(13)} ${text}`);
}

function rowsOf({ profile, url, urlFrom, keyFrom }: Spoken, me: Me): [string, string][] {
  return [
    ["profile", profile ?? "none"],
    ["server", `${url} (from ${urlFrom})`],
    ["organization", me.organization.name],
    ["workspace", `${me.workspace.name} (${me.workspace.id})`],
    ["key", `${me.key.name}, role ${me.key.role} (from ${keyFrom})`],
  ];
}

/** Declares `login` and `whoami`. */
export function declareLogin(root: Root, carry: Carry): void {
  root
    .command("login")
    .summary("store the address and key of a control plane")
    .description(
      'Stores the address and API key of a control plane as a profile, after it has checked them, and uses this profile from now on. --profile names it (default: "default"). The key comes from --key or TOWPATH_KEY, or you type it. For a profile that exists, a new key of the same workspace replaces the old one.',
    )
    .argument(
      "[url]",
      "the control plane's address; the default is TOWPATH_URL, else the address of a profile that exists",
    )
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath login https://towpath.example.com\n  $ towpath login https://eu.towpath.example.com --profile prod-eu",
    )
    .action((url, _, command) => carry(command, (invocation) => login(invocation, url)));
  root
    .command("whoami")
    .summary("show the profile, workspace and key in use")
    .description("Shows the profile, control plane, workspace and key that commands use here, and why.")
    .action((_, command) => carry(command, whoAmI));
}
