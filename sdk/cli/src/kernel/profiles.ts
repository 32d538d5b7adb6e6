import { readFile, realpath } from "node:fs/promises";
import { z } from "zod";
import { Failure } from "../failure.ts";
import { codeOf, whileLocked } from "./file-lock.ts";
import { writeWhole } from "./state-folder.ts";

/** A control plane and a key under a name. A key belongs to one workspace. */
export interface Profile {
  readonly name: string;
  readonly url: string;
  readonly key: string | undefined;
  /** The workspace's name at the time of the login, for lists. */
  readonly workspace: string | undefined;
  /** The workspace's id at the time of the login. A deploy signs for no other. Undefined: an older login. */
  readonly workspaceId?: string | undefined;
  /** The keys of its workspace, if that is sealed. They are never sent. */
  readonly workspaceKeys?: readonly string[] | undefined;
}

/** The user's own configuration file. */
export interface UserConfig {
  readonly file: string;
  /** In the file's order. */
  readonly profiles: readonly Profile[];
  /** The profile that commands use unless they name another. Null: none. */
  readonly active: string | null;
}

/** The name of a profile that a login or an older file does not name. */
export const DEFAULT_PROFILE = "default";
const PROFILE_NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/;

const Stored = z.looseObject({
  url: z.string(),
  key: z.string().optional(),
  workspace: z.string().optional(),
  workspaceId: z.string().optional(),
  workspaceKeys: z.array(z.string()).optional(),
});
/** `url` and `key` at the top are the older form of the file, with one control plane. */
const ConfigFile = z.looseObject({
  url: z.string().optional(),
  key: z.string().optional(),
  profile: z.string().optional(),
  profiles: z.record(z.string(), Stored).optional(),
});

/** @throws Failure if a profile cannot have this name. */
export function checkProfileName(name: string): string {
  if (PROFILE_NAME.test(name)) return name;
  throw new Failure(`"${name}" cannot be the name of a profile.`, {
    exit: "usage",
    next: [
      "use letters, digits, dots, hyphens and underscores, 63 at most, beginning with a letter or digit",
    ],
  });
}

async function readText(file: string): Promise<string | null> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    const code = codeOf(cause);
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw new Failure(`${file} cannot be read (${code}).`, {
      exit: "configuration",
      code: "bad-config-file",
      next: ["make it readable for this user only: it holds the keys of your profiles"],
      cause,
    });
  }
}

async function readStored(file: string): Promise<z.output<typeof ConfigFile>> {
  const text = await readText(file);
  if (text === null) return {};
  try {
    return ConfigFile.parse(JSON.parse(text));
  } catch (cause) {
    throw new Failure(`${file} is not a valid configuration file.`, {
      exit: "configuration",
      code: "bad-config-file",
      next: ["correct it, or move it away and sign in again with `towpath login URL`"],
      cause,
    });
  }
}

function profilesIn({ url, key, profiles = {} }: z.output<typeof ConfigFile>): Profile[] {
  const named = Object.entries(profiles).map(([name, one]) => ({
    name,
    url: one.url,
    key: one.key,
    workspace: one.workspace,
    workspaceId: one.workspaceId,
    ...(one.workspaceKeys !== undefined && { workspaceKeys: one.workspaceKeys }),
  }));
  const isNamed = named.some(({ name }) => name === DEFAULT_PROFILE);
  if (url === undefined || isNamed) return named;
  return [{ name: DEFAULT_PROFILE, url, key, workspace: undefined }, ...named];
}

/** The chosen profile, or the only one. */
function activeAmong(profiles: readonly Profile[], chosen: string | null): string | null {
  if (profiles.some(({ name }) => name === chosen)) return chosen;
  const [only] = profiles;
  return profiles.length === 1 && only ? only.name : null;
}

function configOf(file: string, stored: z.output<typeof ConfigFile>): UserConfig {
  const profiles = profilesIn(stored);
  const older = stored.url === undefined ? null : DEFAULT_PROFILE;
  return { file, profiles, active: activeAmong(profiles, stored.profile ?? older) };
}

/**
 * Reads the user's configuration. A missing file has no profiles.
 * @throws Failure `bad-config-file` if it cannot be read or has another form.
 */
export async function readUserConfig(file: string): Promise<UserConfig> {
  return configOf(file, await readStored(file));
}

/** Finds a profile. @throws Failure `no-such-profile` with the names of those that exist. */
export function profileNamed(config: UserConfig, name: string): Profile {
  const found = config.profiles.find((one) => one.name === name);
  if (found !== undefined) return found;
  const names = config.profiles.map((one) => one.name);
  throw new Failure(`There is no profile "${name}" in ${config.file}.`, {
    exit: "configuration",
    code: "no-such-profile",
    next: [
      names.length === 0 ? "there are no profiles yet" : `profiles: ${names.join(", ")}`,
      `\`towpath login URL --profile ${name}\` creates it`,
    ],
  });
}

/**
 * Changes the profiles in the user's configuration file. Concurrent commands change it one after the other, and readers
 * see the file before or after a change. Only the user can read the file. Other settings in it stay.
 * @returns The new configuration.
 */
export async function changeUserConfig(
  path: string,
  change: (before: UserConfig) => Pick<UserConfig, "profiles" | "active">,
): Promise<UserConfig> {
  // A link to a file in another folder stays a link.
  const file = await realpath(path).catch(() => path);
  return await whileLocked(file, async () => {
    const stored = await readStored(file);
    const { profiles, active } = change(configOf(path, stored));
    const { url: _url, key: _key, ...rest } = stored;
    const entries = profiles.map(({ name, ...one }) => [name, { ...stored.profiles?.[name], ...one }]);
    const after = { ...rest, profile: active ?? undefined, profiles: Object.fromEntries(entries) };
    await writeWhole(file, `${JSON.stringify(after, null, 2)}\n`, 0o600);
    return configOf(path, after);
  });
}
