import { resolve } from "node:path";
import { Failure } from "../failure.ts";
import { readSigningKey } from "../identity/signing-key.ts";
import { inForeground, programEnvironment } from "../kernel/foreground.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { readIfThere } from "../kernel/state-folder.ts";
import { findPool } from "../pools/find.ts";
import { localWorker, writeWorkerConfig } from "./config-file.ts";

/** The arguments of `towpath worker start`. */
export interface WorkerStart {
  readonly pool: string | undefined;
  readonly config: string | undefined;
  /** Amounts and GPUs that override its configuration. */
  readonly compute: string | undefined;
  readonly gpus: string | undefined;
}

/** How to configure a worker without a state folder. */
function example(pool: string): readonly string[] {
  return [
    "write a configuration such as this one, and give it with --config FILE:",
    `  {"url": "https://…", "key": {"env": "TOWPATH_WORKER_KEY"}, "pool": "${pool}", "stateDir": "/var/lib/towpath",`,
    '   "trustedKeys": [{"file": "signing.pub.jwk"}], "store": {"root": "/var/lib/towpath/store"},',
    '   "registries": {"code": {"kind": "git", "url": "https://…"}}}',
    `\`towpath key create NAME --worker --pool ${pool}\` creates the key`,
  ];
}

async function givenConfig(start: WorkerStart, file: string): Promise<string> {
  const text = await readIfThere(file);
  if (text === null)
    throw new Failure(`${file} cannot be read.`, {
      exit: "configuration",
      next: ["check the path after --config"],
    });
  const pool = /"pool"\s*:\s*"([^"]*)"/.exec(text)?.[1];
  if (start.pool !== undefined && pool !== start.pool)
    throw new Failure(`${file} is for the pool "${pool ?? ""}", not "${start.pool}".`, {
      exit: "usage",
      next: ["leave out --pool, or give the configuration of that pool's worker"],
    });
  return file;
}

/** The configuration of a worker in the state folder: the existing one, or a new one with a new key. */
async function localConfig(invocation: Invocation, pool: string): Promise<string> {
  const folder = await invocation.folder();
  const worker = localWorker(folder, pool);
  if ((await readIfThere(worker.configFile)) !== null) return worker.configFile;
  if ((await readSigningKey(folder.signingKeyFile)) === null)
    throw new Failure(`There is no worker configuration for the pool "${pool}" in the state folder.`, {
      exit: "configuration",
      code: "no-worker-config",
      next: example(pool),
    });
  const { client, url } = await invocation.connect();
  await findPool(client, pool);
  await writeWorkerConfig({
    folder,
    client,
    url,
    pool,
    projects: [],
    environment: invocation.config.environment,
  });
  return worker.configFile;
}

/** `towpath worker start --pool NAME [--config FILE]`. Runs until it is stopped. @returns The exit code. */
export async function startWorker(invocation: Invocation, start: WorkerStart): Promise<number> {
  const { output, cwd } = invocation;
  const config =
    start.config === undefined
      ? await localConfig(invocation, start.pool ?? "local")
      : await givenConfig(start, resolve(cwd, start.config));
  output.note(output.style.dim(`starting a worker with ${config}`));
  const environment = {
    ...programEnvironment(invocation),
    ...(start.compute === undefined ? {} : { TOWPATH_COMPUTE: start.compute }),
    ...(start.gpus === undefined ? {} : { TOWPATH_GPUS: start.gpus }),
  };
  return inForeground("worker", { args: ["--config", config], environment });
}
