import { type Client, createClient } from "@towpath/client";
import { z } from "zod";
import type { CliConfig } from "../config.ts";
import { Failure, type Spoken } from "../failure.ts";
import { networkFetch } from "./network.ts";
import { findStateFolder, readIfThere, readOwnFile, type StateFolder, stateFolder } from "./state-folder.ts";

/** The options of every command that say whom to speak to. */
export interface ConnectionOptions {
  readonly url?: string | undefined;
  readonly key?: string | undefined;
  readonly state?: string | undefined;
  /** Where the search for a state folder begins. */
  readonly from: string;
}

/** Where a control plane is said to be, and by whom. */
export interface Address {
  readonly url: string;
  readonly from: string;
}

/** A server, a key, and where each came from. */
export interface Connection extends Spoken {
  readonly key: string;
  readonly client: Client;
}

/** Who says where a server is, or what key opens it: the person who calls us, or a file that was found. */
type SourceKind = "option" | "environment" | "folder" | "user";

interface Source {
  readonly kind: SourceKind;
  readonly url: string | undefined;
  readonly key: string | undefined;
  readonly from: { readonly url: string; readonly key: string };
}

const ServerFile = z.object({ url: z.string(), pid: z.int() });
const UserConfigFile = z.object({ url: z.string().optional(), key: z.string().optional() });

/** Reads a JSON file of ours, or null when it is missing or something else. */
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

/** What a running control plane wrote about itself, or null. */
export function readServerFile(folder: StateFolder): Promise<z.output<typeof ServerFile> | null> {
  return readJsonFile(folder.serverFile, ServerFile);
}

/** The admin key beside a running control plane's address, or null. */
export async function readAdminKey(folder: StateFolder): Promise<string | null> {
  return (await readOwnFile(folder.adminKeyFile))?.trim() || null;
}

/** The state folder in use: the one named, else the nearest, else null. */
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

/** Checks an address that a person typed. */
function checkedUrl(url: string, from: string): string {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url.replace(/\/+$/, "");
  throw new Failure(`"${url}" is not an address of a control plane.`, {
    exit: "usage",
    next: [`it came from ${from}; write it like http://127.0.0.1:4200`],
  });
}

interface Place extends Address {
  readonly kind: SourceKind;
}

function addressAmong(sources: readonly Source[]): Place {
  const place = sources.find((source) => source.url !== undefined);
  if (place?.url === undefined)
    throw new Failure("No control plane is known here.", {
      exit: "configuration",
      code: "no-server",
      next: [
        "`towpath dev` starts one on this machine, with a worker",
        "or name one: --url URL --key KEY, or TOWPATH_URL and TOWPATH_KEY",
      ],
    });
  return { url: checkedUrl(place.url, place.from.url), from: place.from.url, kind: place.kind };
}

/** Finds the server alone, by the order of `findConnection`. @throws Failure when none is known. */
export async function findAddress(config: CliConfig, options: ConnectionOptions): Promise<Address> {
  return addressAmong(await sourcesOf(config, options));
}

/** Whether a source names this very address. */
function names(source: Source, url: string): boolean {
  return source.url?.replace(/\/+$/, "") === url;
}

/**
 * The key for an address. A folder may be anybody's, such as a cloned repository: the address that it names gets the
 * folder's own key, and a key of the person only when the person's own configuration names that address as well. A key that
 * is kept in a file is only ever sent to the address kept beside it. Where the folder and the person's own file keep one
 * for the same address, it is the person's: whoever made the folder does not choose as whom somebody acts.
 * @throws Failure `key-not-sent` when the person's key may not go there.
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
  throw new Failure(`The key of ${given.from.key} is not sent to ${url}, which this folder names.`, {
    exit: "configuration",
    code: "key-not-sent",
    next: [
      `the address came from ${place.from}, and a folder may be anybody's`,
      "name the address that the key is for: --url URL or TOWPATH_URL",
      `or leave out ${given.from.key}: the key that is kept beside the address is used then`,
    ],
  });
}

/** The folder's key file, if the folder keeps a key for this address and the person's own file has another. */
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
    throw new Failure(`There is no key for ${url}.`, {
      exit: "configuration",
      code: "no-key",
      next: [
        `the address came from ${from}`,
        "pass a key with --key KEY or TOWPATH_KEY; an admin makes one with `towpath key create NAME`",
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
