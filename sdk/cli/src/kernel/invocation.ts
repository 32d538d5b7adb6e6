import { resolve } from "node:path";
import type { Client } from "@towpath/client";
import { type Clock, machineClock } from "../clock.ts";
import { type CliConfig, readConfig } from "../config.ts";
import type { Spoken } from "../failure.ts";
import { createOutput, type Output, type Streams } from "../output.ts";
import {
  type Address,
  type Connection,
  findAddress,
  findConnection,
  stateFolderInUse,
} from "./connection.ts";
import { STATE_FOLDER_NAME, type StateFolder, stateFolder } from "./state-folder.ts";

/** The options that every command has. */
export interface GlobalOptions {
  readonly url?: string | undefined;
  readonly key?: string | undefined;
  readonly profile?: string | undefined;
  readonly state?: string | undefined;
  readonly json?: boolean | undefined;
  readonly color?: boolean | undefined;
}

/** One command at work: its output, settings and server. */
export interface Invocation {
  readonly config: CliConfig;
  readonly clock: Clock;
  readonly cwd: string;
  readonly globals: GlobalOptions;
  readonly output: Output;
  /** Finds the server and key once. @throws Failure if there is none. */
  connect(project?: string): Promise<Connection>;
  client(project?: string): Promise<Client>;
  /**
   * Prints the profile or address and the workspace in use, once, if the user could mean another one. Every command does so before
   * its first request that can change something. A command that does other work before calls it itself.
   */
  announce(project?: string): Promise<void>;
  /** The profile or address and the workspace in use, for a question. Null if the user can mean no other. */
  target(): Promise<string | null>;
  /** The server's address, with or without a key. @throws Failure if there is none. */
  address(): Promise<Address>;
  /** The state folder in use, or the one to create in this folder. */
  folder(project?: string): Promise<StateFolder>;
  /** The connection that `connect` found, for messages. */
  spoken(): Spoken | undefined;
}

/** How long the control plane may take to name the workspace, milliseconds. */
const NAME_TIMEOUT_MS = 5_000;

/** `prod-eu (workspace acme)`. Null if the user can mean no other. */
async function targetOf({ isOneOfSeveral, profile, url, client }: Connection): Promise<string | null> {
  if (!isOneOfSeveral) return null;
  // If it does not answer, the command's own request says so.
  const me = await client.getMe({}, { retries: 0, timeoutMs: NAME_TIMEOUT_MS }).catch(() => null);
  return `${profile ?? url} (${me === null ? `server ${url}` : `workspace ${me.workspace.name}`})`;
}

/** Starts one command. */
export function beginInvocation(streams: Streams, globals: GlobalOptions): Invocation {
  if (globals.json === true) streams.reserveStdout?.();
  const config = readConfig();
  const cwd = process.cwd();
  const color = globals.color === false ? false : config.color;
  let connection: Promise<Connection> | undefined;
  let found: Connection | undefined;
  const fromOf = (project?: string) => (project === undefined ? cwd : resolve(cwd, project));
  const { url, key, profile, state } = globals;
  const output = createOutput(streams, { json: globals.json === true, color, called: config.called });
  let named: Promise<string | null> | undefined;
  let isAnnounced = false;
  const target = (one: Connection) => {
    named ??= targetOf(one);
    return named;
  };
  const beforeWrite = async (one: Connection) => {
    const text = isAnnounced ? null : await target(one);
    if (text !== null && !isAnnounced) output.note(output.style.bold(text));
    isAnnounced = true;
  };
  const connect = (project?: string) => {
    const options = { url, key, profile, state, from: fromOf(project), beforeWrite };
    connection ??= findConnection(config, options).then((one) => {
      found = one;
      return one;
    });
    return connection;
  };
  return {
    config,
    clock: machineClock,
    cwd,
    globals,
    output,
    connect,
    announce: async (project) => beforeWrite(await connect(project)),
    async target() {
      const text = await target(await connect());
      isAnnounced ||= text !== null;
      return text;
    },
    client: async (project) => (await connect(project)).client,
    address: () => findAddress(config, { url, key, profile, state, from: cwd }),
    async folder(project) {
      const from = fromOf(project);
      return (
        (await stateFolderInUse({ state: globals.state, from })) ??
        stateFolder(resolve(cwd, STATE_FOLDER_NAME))
      );
    },
    spoken: () => found,
  };
}
