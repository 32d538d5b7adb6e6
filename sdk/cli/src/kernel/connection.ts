import { type Client, createClient } from "@towpath/client";
import { z } from "zod";
import type { CliConfig } from "../config.ts";
import { Failure, type Spoken } from "../failure.ts";
import { networkFetch } from "./network.ts";
import { findStateFolder, readIfThere, type StateFolder, stateFolder } from "./state-folder.ts";

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

interface Source {
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

/** The state folder in use: the one named, else the nearest, else null. */
export async function stateFolderInUse(options: { state?: string | undefined; from: string }) {
  return options.state === undefined ? findStateFolder(options.from) : stateFolder(options.state);
}

async function sourcesOf(config: CliConfig, options: ConnectionOptions): Promise<Source[]> {
  const folder = await stateFolderInUse(options);
  const server = folder && (await readServerFile(folder));
  const key = folder && (await readIfThere(folder.adminKeyFile))?.trim();
  const user = await readJsonFile(config.userConfigFile, UserConfigFile);
  const both = (from: string) => ({ url: from, key: from });
  return [
    { url: options.url, key: options.key, from: { url: "--url", key: "--key" } },
    { url: config.url, key: config.key, from: { url: "TOWPATH_URL", key: "TOWPATH_KEY" } },
    ...(folder
      ? [
          {
            url: server?.url,
            key: key || undefined,
            from: { url: folder.serverFile, key: folder.adminKeyFile },
          },
        ]
      : []),
    { url: user?.url, key: user?.key, from: both(config.userConfigFile) },
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

function addressAmong(sources: readonly Source[]): Address {
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
  return { url: checkedUrl(place.url, place.from.url), from: place.from.url };
}

/** Finds the server alone, by the order of `findConnection`. @throws Failure when none is known. */
export async function findAddress(config: CliConfig, options: ConnectionOptions): Promise<Address> {
  return addressAmong(await sourcesOf(config, options));
}

/**
 * Finds the server and key: `--url`/`--key`, then `TOWPATH_URL`/`TOWPATH_KEY`, then the nearest `.towpath/` folder,
 * then the user's configuration file. A key kept in a file is only ever sent to the address kept beside it.
 */
export async function findConnection(config: CliConfig, options: ConnectionOptions): Promise<Connection> {
  const sources = await sourcesOf(config, options);
  const { url, from } = addressAmong(sources);
  const spoken = sources.slice(0, 2).find((source) => source.key !== undefined);
  const beside = sources.slice(2).find((source) => source.key && source.url?.replace(/\/+$/, "") === url);
  const holder = spoken ?? beside;
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
    client,
    environment: config.environment,
  };
}
