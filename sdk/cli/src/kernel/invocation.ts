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
  /** The server's address, with or without a key. @throws Failure if there is none. */
  address(): Promise<Address>;
  /** The state folder in use, or the one to create in this folder. */
  folder(project?: string): Promise<StateFolder>;
  /** The connection that `connect` found, for messages. */
  spoken(): Spoken | undefined;
}

/** Starts one command. */
export function beginInvocation(streams: Streams, globals: GlobalOptions): Invocation {
  const config = readConfig();
  const cwd = process.cwd();
  const color = globals.color === false ? false : config.color;
  let connection: Promise<Connection> | undefined;
  let found: Connection | undefined;
  const fromOf = (project?: string) => (project === undefined ? cwd : resolve(cwd, project));
  const { url, key, state } = globals;
  const connect = (project?: string) => {
    connection ??= findConnection(config, { url, key, state, from: fromOf(project) }).then((one) => {
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
    output: createOutput(streams, { json: globals.json === true, color, called: config.called }),
    connect,
    client: async (project) => (await connect(project)).client,
    address: () => findAddress(config, { url, key, state, from: cwd }),
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
