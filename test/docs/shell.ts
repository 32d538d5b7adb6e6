import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startProcess, type TestProcess } from "../harness/index.ts";

const CLI = fileURLToPath(new URL("../../sdk/cli/src/main.ts", import.meta.url));

/** A machine as a documentation page assumes it. Its absolute paths are folders of the test. */
export interface Machine {
  /** Replaces the page's paths by the test's folders. */
  here(text: string): string;
  /** Runs lines in a shell that finds this tree's `towpath` and `npx`. */
  start(lines: string, env?: NodeJS.ProcessEnv): TestProcess;
}

async function program(folder: string, name: string, line: string): Promise<void> {
  await writeFile(join(folder, name), `#!/bin/sh\n${line}\n`);
  await chmod(join(folder, name), 0o755);
}

/** Sets up a machine in a folder. */
export async function machine(folder: string, places: Readonly<Record<string, string>>): Promise<Machine> {
  const programs = join(folder, "bin");
  await mkdir(programs, { recursive: true });
  const command = `exec '${process.execPath}' '${CLI}'`;
  await program(programs, "towpath", `${command} "$@"`);
  await program(programs, "npx", `shift\n${command} "$@"`);
  const here = (text: string) =>
    Object.entries(places).reduce((all, [from, to]) => all.replaceAll(from, to), text);
  return {
    here,
    start: (lines, env = {}) =>
      startProcess({
        command: "/bin/sh",
        args: ["-c", here(lines)],
        cwd: folder,
        env: {
          PATH: `${programs}:${process.env.PATH}`,
          HOME: folder,
          NO_COLOR: "1",
          NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
          ...env,
        },
        group: true,
      }),
  };
}
