import { resolve } from "node:path";
import { Failure } from "../failure.ts";
import { readSigningKey } from "../identity/signing-key.ts";
import { inForeground, programEnvironment } from "../kernel/foreground.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { readIfThere } from "../kernel/state-folder.ts";
import { findPool } from "../pools/find.ts";
import { localWorker, writeWorkerConfig } from "./config-file.ts";

/** What `towpath worker start` is asked for. */
export interface WorkerStart {
  readonly pool: string | undefined;
  readonly config: string | undefined;
  /** Amounts and GPUs that stand over its configuration. */
  readonly compute: string | undefined;
  readonly gpus: string | undefined;
}

/** What a worker away from a state folder needs, as text to start from. */
function example(pool: string): readonly string[] {
  return [
    "write a configuration and pass it with --config FILE:",
    `  {"url": "https://…", "key": {"env": "TOWPATH_WORKER_KEY"}, "pool": "${pool}", "stateDir": "/var/lib/towpath",`,
    '   "trustedKeys": [{"file": "signing.pub.jwk"}], "store": {"root": "/var/lib/towpath/store"},',
    '   "registries": {"code": {"kind": "git", "url": "https://…"}}}',
    `\`towpath key create NAME --worker --pool ${pool}\` makes the key`,
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
      next: ["leave --pool away, or give the file of that pool's worker"],
    });
  return file;
}

/** The configuration of a worker beside a state folder: the one that is there, or a new one with a new key. */
async function localConfig(invocation: Invocation, pool: string): Promise<string> {
  const folder = await invocation.folder();
  const worker = localWorker(folder, pool);
  if ((await readIfThere(worker.configFile)) !== null) return worker.configFile;
  if ((await readSigningKey(folder.signingKeyFile)) === null)
    throw new Failure(`There is no worker configuration for the pool "${pool}" here.`, {
      exit: "configuration",
      code: "no-worker-config",
      next: example(pool),
    });
  const { client, url } = await invocation.connect();
  await findPool(client, pool);
  await writeWorkerConfig({ folder, client, url, pool, projects: [] });
  return worker.configFile;
}

/** `towpath worker start --pool NAME [--config FILE]`. Runs until it is stopped. @returns The exit code. */
export async function startWorker(invocation: Invocation, start: WorkerStart): Promise<number> {
  const { output, cwd } = invocation;
  const config =
    start.config === undefined
      ? await localConfig(invocation, start.pool ?? "local")
      : await givenConfig(start, resolve(cwd, start.config));
  output.note(output.style.dim(`worker with ${config}`));
  const environment = {
    ...programEnvironment(invocation),
    ...(start.compute === undefined ? {} : { TOWPATH_COMPUTE: start.compute }),
    ...(start.gpus === undefined ? {} : { TOWPATH_GPUS: start.gpus }),
  };
  return inForeground("worker", { args: ["--config", config], environment });
}
