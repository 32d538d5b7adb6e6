import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, createClient } from "@towpath/client";
import { endThoseOf, removeWithUs } from "./guard.ts";
import { startProcess, type TestProcess } from "./process.ts";
import { CLI, cleanEnv, writeProject } from "./stack.ts";

/** `towpath dev` in a new project folder, with everything that it starts. */
export interface Dev extends AsyncDisposable {
  /** A folder for the files that flows write. `dev` does not watch it. */
  readonly folder: string;
  /** The watched project folder. */
  readonly home: string;
  readonly process: TestProcess;
  /** An admin client of the control plane that `dev` started. */
  client(): Promise<Client>;
  /** Saves a file in the project. */
  save(path: string, text: string): Promise<void>;
  /** Ends `dev` as Ctrl-C does. @returns Its exit code. */
  stop(): Promise<number | NodeJS.Signals>;
}

async function adminClient(home: string): Promise<Client> {
  const control = join(home, ".towpath", "control");
  const { url } = JSON.parse(await readFile(join(control, "server.json"), "utf8")) as { url: string };
  return createClient({ url, token: (await readFile(join(control, "admin.key"), "utf8")).trim() });
}

/**
 * Starts `towpath dev` in a project of these files. It watches once it has printed `Watching`.
 * @param args.args more arguments, made from the folder that flows may write to
 */
export async function startDev(options: {
  files: Record<string, string>;
  args?: (folder: string) => readonly string[];
  /** More variables of `towpath dev`. */
  env?: NodeJS.ProcessEnv;
}): Promise<Dev> {
  const folder = await mkdtemp(join(tmpdir(), "towpath-dev-"));
  removeWithUs(folder);
  const home = await writeProject(folder, options.files);
  const state = ["--state", join(home, ".towpath")];
  const dev = startProcess({
    command: process.execPath,
    args: [CLI, "dev", ...(options.args?.(folder) ?? []), ...state],
    cwd: home,
    env: cleanEnv(options.env ?? {}),
  });
  const stop = async () => {
    dev.kill("SIGINT");
    return await dev.exited;
  };
  return {
    folder,
    home,
    process: dev,
    stop,
    client: () => adminClient(home),
    save: (path, text) => writeFile(join(home, path), text),
    async [Symbol.asyncDispose]() {
      await stop();
      await endThoseOf(folder);
      await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    },
  };
}
