import { type Client, createClient } from "@towpath/client";
import { z } from "zod";
import type { CliConfig } from "../config.ts";
import { Failure, type Spoken } from "../failure.ts";
import { networkFetch } from "./network.ts";
import { findStateFolder, readIfThere, readOwnFile, type StateFolder, stateFolder } from "./state-folder.ts";

/** The options that choose the server. */
export interface ConnectionOptions {
  readonly url?: string | undefined;
  readonly key?: string | undefined;
  readonly state?: string | undefined;
  /** Where the search for a state folder starts. */
  readonly from: string;
}

/** A control plane's address, and where it came from. */
export interface Address {
  readonly url: string;
  readonly from: string;
}

/** A server, a key, and their sources. */
export interface Connection extends Spoken {
  readonly key: string;
  readonly client: Client;
}

/** A source of a server's address or key: the user, or a file. */
type SourceKind = "option" | "environment" | "folder" | "user";

interface Source {
  readonly kind: SourceKind;
  readonly url: string | undefined;
  readonly key: string | undefined;
  readonly from: { readonly url: string; readonly key: string };
}

const ServerFile = z.object({ url: z.string(), pid: z.int() });
const UserConfigFile = z.object({ url: z.string().optional(), key: z.string().optional() });

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

async function sourcesOf(config: CliConfig, options: ConnectionOptions): Promise<Source[]> {
  const folder = await stateFolderInUse(options);
  const server = folder && (await readServerFile(folder));
  const key = folder && (await readAdminKey(folder));
  const user = await readJsonFile(config.userConfigFile, UserConfigFile);
  const both = (from: string) => ({ url: from, key: from });
  return [
    { kind: "option", url: options.url, key: options.key, from: { url: "--url", key: "--key" } },
    {
      kind: "environment",
      url: config.url,
      key: config.key,
      from: { url: "TOWPATH_URL", key: "TOWPATH_KEY" },
    },
    ...(folder
      ? [
          {
            kind: "folder" as const,
            url: server?.url,
            key: key ?? undefined,
            from: { url: folder.serverFile, key: folder.adminKeyFile },
          },
        ]
      : []),
    { kind: "user", url: user?.url, key: user?.key, from: both(config.userConfigFile) },
  ];
}

/** Checks an address. */
function checkedUrl(url: string, from: string): string {
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
  const place = sources.find((source) => source.url !== undefined);
  if (place?.url === undefined)
    throw new Failure("No control plane is configured.", {
      exit: "configuration",
      code: "no-server",
      next: [
        "start one on this machine with `towpath dev`",
        "or give its address and key: --url URL --key KEY, or TOWPATH_URL and TOWPATH_KEY",
      ],
    });
  return { url: checkedUrl(place.url, place.from.url), from: place.from.url, kind: place.kind };
}

/** Finds the server, in the order of `findConnection`. @throws Failure if there is none. */
export async function findAddress(config: CliConfig, options: ConnectionOptions): Promise<Address> {
  return addressAmong(await sourcesOf(config, options));
}

/** Whether a source names this address. */
function names(source: Source, url: string): boolean {
  return source.url?.replace(/\/+$/, "") === url;
}

/**
 * The key for an address. A state folder may belong to somebody else, for example in a cloned repository. Its address gets the
 * folder's own key. It gets the user's key only if the user's own configuration names the same address. A key in a file is
 * sent only to the address in the same file. If the folder and the user's file have a key for the same address, the user's
 * key is used, so that the folder's owner cannot choose the user's identity.
 * @throws Failure `key-not-sent` if the user's key must not be sent there.
 */
function keyAmong(sources: readonly Source[], place: Place): Source | null {
  const { url } = place;
  const given = sources.find(({ kind, key }) => (kind === "option" || kind === "environment") && key);
  const kept = (by: SourceKind) => sources.find(({ kind, key }) => kind === by && key);
  const stored = [kept("user"), kept("folder")];
  const beside = stored.find((source) => source !== undefined && names(source, url)) ?? null;
  if (!given) return beside;
  const isNamed = sources.some((source) => source.kind === "user" && names(source, url));
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
  if (args.holder.kind !== "user" || folder?.key === args.holder.key) return undefined;
  return folder !== undefined && names(folder, args.url) ? folder.from.key : undefined;
}

/**
 * Finds the server and key: `--url`/`--key`, then `TOWPATH_URL`/`TOWPATH_KEY`, then the nearest `.towpath/` folder,
 * then the user's configuration file. Which key may go to which address is `keyAmong`'s.
 */
export async function findConnection(config: CliConfig, options: ConnectionOptions): Promise<Connection> {
  const sources = await sourcesOf(config, options);
  const place = addressAmong(sources);
  const { url, from } = place;
  const holder = keyAmong(sources, place);
  if (holder?.key === undefined)
    throw new Failure(`No key is configured for ${url}.`, {
      exit: "configuration",
      code: "no-key",
      next: [
        `the address came from ${from}`,
        "give a key with --key KEY or TOWPATH_KEY; an admin creates one with `towpath key create NAME`",
      ],
    });
  const client = createClient({ url, token: holder.key, fetch: networkFetch(config.environment) });
  return {
    url,
    urlFrom: from,
    key: holder.key,
    keyFrom: holder.from.key,
    unusedKeyFile: unusedKeyFile(sources, { holder, url }),
    client,
    environment: config.environment,
  };
}
