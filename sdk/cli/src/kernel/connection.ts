import { type Client, createClient } from "@towpath/client";
import { keyBytesOf } from "@towpath/contract";
import { z } from "zod";
import type { CliConfig } from "../config.ts";
import { Failure, type Spoken } from "../failure.ts";
import { networkFetch } from "./network.ts";
import { DEFAULT_PROFILE, type Profile, profileNamed, readUserConfig, type UserConfig } from "./profiles.ts";
import { findStateFolder, readIfThere, readOwnFile, type StateFolder, stateFolder } from "./state-folder.ts";

/** The options that choose the server. */
export interface ConnectionOptions {
  readonly url?: string | undefined;
  readonly key?: string | undefined;
  /** The name of a profile. Not together with `url`. */
  readonly profile?: string | undefined;
  readonly state?: string | undefined;
  /** Where the search for a state folder starts. */
  readonly from: string;
  /** Called before each request that can change something, such as starting a run. */
  readonly beforeWrite?: ((connection: Connection) => Promise<void>) | undefined;
}

/** A control plane's address, and where it came from. */
export interface Address {
  readonly url: string;
  readonly from: string;
  /** The profile with this address, if it came from one. */
  readonly profile: string | null;
}

/** A server, a key, and their sources. */
export interface Connection extends Spoken {
  readonly key: string;
  /** The workspace that the profile in use names. Undefined: there is no profile, or it is of an older login. */
  readonly workspaceId: string | undefined;
  /** Whether the address is that of a control plane on this machine whose state is in the state folder. */
  readonly isLocal: boolean;
  /** Whether commands could use another control plane or profile here, so that they must say which one they use. */
  readonly isOneOfSeveral: boolean;
  readonly client: Client;
  /** The keys of the workspace, if it is sealed: the first one seals. */
  readonly workspaceKeys: readonly string[];
}

/**
 * A source of a server's address or key: the user, or a file. `profile` is the one that the user names for this command, `user`
 * the one in use otherwise. `other` profiles have keys for addresses that come from elsewhere.
 */
type SourceKind = "option" | "environment" | "folder" | "profile" | "user" | "other";

interface Source {
  readonly kind: SourceKind;
  readonly url: string | undefined;
  readonly key: string | undefined;
  readonly from: { readonly url: string; readonly key: string };
  readonly profile: string | null;
  readonly workspaceId?: string | undefined;
  readonly workspaceKeys?: readonly string[] | undefined;
}

const OF_PROFILES: readonly SourceKind[] = ["profile", "user", "other"];

/** Hosts whose connection does not leave this machine. */
export const LOOPBACK = /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[::1\])$/;

const ServerFile = z.object({ url: z.string(), pid: z.int() });

/** Reads one of our JSON files. Null if it is missing or has another shape. */
export async function readJsonFile<T extends z.ZodType>(
  path: string,
  schema: T,
): Promise<z.output<T> | null> {
  const text = await readIfThere(path);
  if (text === null) return null;
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

/** The file that a running control plane writes, or null. */
export function readServerFile(folder: StateFolder): Promise<z.output<typeof ServerFile> | null> {
  return readJsonFile(folder.serverFile, ServerFile);
}

/** The admin key next to a running control plane's address, or null. */
export async function readAdminKey(folder: StateFolder): Promise<string | null> {
  return (await readOwnFile(folder.adminKeyFile))?.trim() || null;
}

/** The state folder in use: the given one, else the nearest, else null. */
export async function stateFolderInUse(options: { state?: string | undefined; from: string }) {
  return options.state === undefined ? findStateFolder(options.from) : stateFolder(options.state);
}

/** The profile that the user names for this command. @throws Failure if an address is given too, or if it does not exist. */
function namedProfile(config: CliConfig, options: ConnectionOptions, user: UserConfig): Profile | null {
  if (options.profile !== undefined && options.url !== undefined)
    throw new Failure("--profile and --url both give an address.", {
      exit: "usage",
      next: ["leave one of them out"],
    });
  if (options.profile !== undefined) return profileNamed(user, options.profile);
  if (config.profile === undefined) return null;
  if (config.url !== undefined && options.url === undefined)
    throw new Failure("TOWPATH_PROFILE and TOWPATH_URL both give an address.", {
      exit: "configuration",
      code: "profile-and-url",
      next: ["unset one of them, or choose with --profile NAME or --url URL"],
    });
  return profileNamed(user, config.profile);
}

function ofProfile(kind: SourceKind, profile: Profile, { file }: UserConfig): Source {
  const from = profile.name === DEFAULT_PROFILE ? file : `the profile "${profile.name}" in ${file}`;
  const { url, key, name, workspaceId, workspaceKeys } = profile;
  return { kind, url, key, from: { url: from, key: from }, profile: name, workspaceId, workspaceKeys };
}

async function ofFolder(options: ConnectionOptions): Promise<Source[]> {
  const folder = await stateFolderInUse(options);
  if (folder === null) return [];
  const [server, key] = [await readServerFile(folder), await readAdminKey(folder)];
  const from = { url: folder.serverFile, key: folder.adminKeyFile };
  return [{ kind: "folder", url: server?.url, key: key ?? undefined, from, profile: null }];
}

async function sourcesOf(config: CliConfig, options: ConnectionOptions): Promise<Source[]> {
  const user = await readUserConfig(config.userConfigFile);
  const named = namedProfile(config, options, user);
  const inUse = named?.name ?? user.active;
  const given = { url: options.url, key: options.key, from: { url: "--url", key: "--key" } };
  const set = { url: config.url, key: config.key, from: { url: "TOWPATH_URL", key: "TOWPATH_KEY" } };
  const active = user.profiles.filter(({ name }) => name === inUse);
  const others = user.profiles.filter(({ name }) => name !== inUse);
  return [
    { kind: "option", ...given, profile: null },
    ...(named === null ? [] : [ofProfile("profile", named, user)]),
    { kind: "environment", ...set, profile: null },
    ...(await ofFolder(options)),
    ...(named === null ? active.map((one) => ofProfile("user", one, user)) : []),
    ...others.map((one) => ofProfile("other", one, user)),
  ];
}

/** Checks an address. @throws Failure if it is none; `from` says where it came from. */
export function checkedUrl(url: string, from: string): string {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url.replace(/\/+$/, "");
  throw new Failure(`"${url}" is not a valid address of a control plane.`, {
    exit: "usage",
    next: [`the address came from ${from}; write it like http://127.0.0.1:4200`],
  });
}

interface Place extends Address {
  readonly kind: SourceKind;
}

function addressAmong(sources: readonly Source[]): Place {
  const place = sources.find(({ kind, url }) => kind !== "other" && url !== undefined);
  if (place?.url === undefined) throw noServer(sources);
  const { kind, from, profile } = place;
  return { url: checkedUrl(place.url, from.url), from: from.url, kind, profile };
}

function noServer(sources: readonly Source[]): Failure {
  const names = sources.flatMap(({ profile }) => profile ?? []);
  if (names.length > 0)
    return new Failure("No profile is in use.", {
      exit: "configuration",
      code: "no-server",
      next: [
        `choose one with \`towpath profiles use NAME\` or --profile NAME: ${names.join(", ")}`,
        "or start a control plane on this machine with `towpath dev`",
      ],
    });
  return new Failure("No control plane is configured.", {
    exit: "configuration",
    code: "no-server",
    next: [
      "start one on this machine with `towpath dev`",
      "or sign in to one with `towpath login URL`",
      "or give its address and key: --url URL --key KEY, or TOWPATH_URL and TOWPATH_KEY",
    ],
  });
}

/** Finds the server, in the order of `findConnection`. @throws Failure if there is none. */
export async function findAddress(config: CliConfig, options: ConnectionOptions): Promise<Address> {
  return addressAmong(await sourcesOf(config, options));
}

/** Whether a source names this address. */
function names(source: Source, url: string): boolean {
  return source.url?.replace(/\/+$/, "") === url;
}

/** The profile with a key for an address. @throws Failure if several have one and the user chose none of them. */
function profileFor(sources: readonly Source[], url: string): Source | null {
  const kept = sources.filter(({ kind }) => OF_PROFILES.includes(kind));
  const having = kept.filter((source) => source.key !== undefined && names(source, url));
  const chosen = having.find(({ kind }) => kind !== "other");
  if (chosen !== undefined || having.length < 2) return chosen ?? having[0] ?? null;
  throw new Failure(`Several profiles have a key for ${url}.`, {
    exit: "configuration",
    code: "profile-needed",
    next: [`choose one with --profile NAME: ${having.map(({ profile }) => profile).join(", ")}`],
  });
}

/**
 * The key for an address. The address of a profile that the user names gets `--key`, else the profile's key.
 * A state folder may belong to somebody else, for example in a cloned repository. Its address gets the
 * folder's own key. It gets the user's key only if the user's own configuration names the same address. A key in a file is
 * sent only to the address in the same file. If the folder and a profile have a key for the same address, the profile's
 * key is used, so that the folder's owner cannot choose the user's identity.
 * @throws Failure `key-not-sent` if the user's key must not be sent there.
 */
function keyAmong(sources: readonly Source[], place: Place): Source | null {
  const { url } = place;
  const among = (...kinds: SourceKind[]) =>
    sources.find(({ kind, key }) => kinds.includes(kind) && key !== undefined) ?? null;
  if (place.kind === "profile") return among("option") ?? among("profile") ?? among("environment");
  const given = among("option", "environment");
  if (place.kind === "user") return given ?? among("user");
  const folder = among("folder");
  const beside = folder !== null && names(folder, url) ? folder : null;
  if (given === null) return profileFor(sources, url) ?? beside;
  const isNamed = sources.some((source) => OF_PROFILES.includes(source.kind) && names(source, url));
  if (place.kind !== "folder" || isNamed || beside?.key === given.key) return given;
  throw new Failure(
    `The key from ${given.from.key} is not sent to ${url}, because that address comes from a state folder.`,
    {
      exit: "configuration",
      code: "key-not-sent",
      next: [
        `the address came from ${place.from}, which may belong to somebody else`,
        "to use this key, give its address with --url URL or TOWPATH_URL",
        `or leave out ${given.from.key}; then the folder's own key is used`,
      ],
    },
  );
}

/** The folder's key file, if it has a key for this address and the user's own file has another. */
function unusedKeyFile(
  sources: readonly Source[],
  args: { holder: Source; url: string },
): string | undefined {
  const folder = sources.find(({ kind, key }) => kind === "folder" && key !== undefined);
  if (args.holder.profile === null || folder?.key === args.holder.key) return undefined;
  return folder !== undefined && names(folder, args.url) ? folder.from.key : undefined;
}

/** Whether the user could mean another control plane or profile than the one in use. */
function isOneOfSeveral(sources: readonly Source[], inUse: { url: string; profile: string | null }): boolean {
  const others = sources.filter((source) => {
    const { kind, url, profile } = source;
    return OF_PROFILES.includes(kind)
      ? profile !== inUse.profile
      : kind === "folder" && url !== undefined && !names(source, inUse.url);
  });
  return others.length > 0;
}

/** The workspace keys: those of the environment, else of the profile. @throws Failure for a text that is none. */
function keysOf(config: CliConfig, holder: Source): readonly string[] {
  if (config.workspaceKeys.length > 0) return environmentKeys(config);
  return checkedKeys(holder.workspaceKeys ?? [], holder.from.key);
}

/** The workspace keys of the environment. @throws Failure for a text that is none. */
export function environmentKeys({ workspaceKeys }: Pick<CliConfig, "workspaceKeys">): readonly string[] {
  return checkedKeys(workspaceKeys, "TOWPATH_WORKSPACE_KEY");
}

function checkedKeys(keys: readonly string[], from: string): readonly string[] {
  try {
    for (const key of keys) keyBytesOf(key);
    return keys;
  } catch (cause) {
    throw new Failure(`A workspace key from ${from} is not valid.`, {
      exit: "configuration",
      code: "bad-workspace-key",
      next: ["a workspace key begins with twp_seal_; `towpath workspace new-key` creates one"],
      cause,
    });
  }
}

/** Calls `before` ahead of each request that is not a read. */
function beforeWrites(
  fetch: typeof globalThis.fetch,
  before: () => Promise<void> | undefined,
): typeof globalThis.fetch {
  return async (input, init) => {
    if (init?.method !== undefined && init.method !== "GET") await before();
    return await fetch(input, init);
  };
}

function noKey({ url, from, profile }: Place): Failure {
  const again = profile === null ? url : `--profile ${profile}`;
  return new Failure(`No key is configured for ${url}.`, {
    exit: "configuration",
    code: "no-key",
    next: [
      `the address came from ${from}`,
      `store a key with \`towpath login ${again}\`, or give one with --key KEY or TOWPATH_KEY`,
      "an admin creates a key with `towpath key create NAME`",
    ],
  });
}

/**
 * Finds the server and key: `--url`/`--key`, then `--profile`, `TOWPATH_URL`/`TOWPATH_KEY` or `TOWPATH_PROFILE`, then the
 * nearest `.towpath/` folder, then the profile in use. Which key may go to which address is `keyAmong`'s.
 */
export async function findConnection(config: CliConfig, options: ConnectionOptions): Promise<Connection> {
  const sources = await sourcesOf(config, options);
  const place = addressAmong(sources);
  const { url, from } = place;
  const holder = keyAmong(sources, place);
  if (holder?.key === undefined) throw noKey(place);
  const profile = holder.profile ?? place.profile;
  const fetch = beforeWrites(networkFetch(config.environment), () => options.beforeWrite?.(connection));
  const workspaceKeys = keysOf(config, holder);
  const connection: Connection = {
    url,
    urlFrom: from,
    key: holder.key,
    keyFrom: holder.from.key,
    unusedKeyFile: unusedKeyFile(sources, { holder, url }),
    profile,
    workspaceId: profile === null ? undefined : sources.find((one) => one.profile === profile)?.workspaceId,
    isLocal: place.kind === "folder" && LOOPBACK.test(new URL(url).hostname),
    isOneOfSeveral: isOneOfSeveral(sources, { url, profile }),
    client: createClient({ url, token: holder.key, fetch, sealing: { keys: workspaceKeys } }),
    workspaceKeys,
    environment: config.environment,
  };
  return connection;
}
