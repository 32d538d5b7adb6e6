import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readProcess } from "@towpath/contract/process";
import { afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { openCodeCache } from "../code/index.ts";
import type { PythonIndex } from "../config.ts";
import { hasPython, pathWithoutUv, pathWithUv } from "../testing/python.fixture.ts";
import { EnvironmentError } from "./environment-error.ts";
import { bringEnvironment, type EnvironmentDeps, type LockedEnvironment } from "./environments.ts";
import { checkRequirements } from "./requirements.ts";
import { pythonMinor, Wheels } from "./wheels.fixture.ts";

/** Where each installer is found. Without uv on its PATH, a worker uses pip. */
const INSTALLERS = [
  { name: "pip", find: pathWithoutUv },
  { name: "uv", find: pathWithUv },
];

const BUILDER = fileURLToPath(new URL("builder.fixture.ts", import.meta.url));

/** A backend that starts a process in a session of its own, notes the process id in a file, and then hangs. */
const hangingBackend = (note: string) => `
import os, subprocess, sys, time
def build_wheel(folder, settings=None, metadata=None):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    with open(${JSON.stringify(`${note}.new`)}, "w") as file:
        file.write(str(child.pid))
    os.rename(${JSON.stringify(`${note}.new`)}, ${JSON.stringify(note)})
    time.sleep(600)
`;

const HASH = `--hash=sha256:${"0".repeat(64)}`;

let dir: string;
let wheels: Wheels;
/** The environments that were found changed. */
let changed: string[];
/** The folders in which installers are looked for. */
let path: string;
beforeEach(async () => {
  changed = [];
  dir = await mkdtemp(join(tmpdir(), "twp-environments-"));
  wheels = new Wheels(join(dir, "wheels"));
});
afterEach(async () => {
  execFileSync("chmod", ["-R", "u+w", dir]);
  await rm(dir, { recursive: true, force: true });
});

async function open(more: { indexes?: Record<string, PythonIndex>; buildMs?: number; bytes?: number } = {}) {
  const { indexes = { default: { folder: wheels.dir } }, buildMs, bytes = 2 ** 40 } = more;
  return {
    cache: await openCodeCache({ dir: join(dir, "environments"), onChanged: (tree) => changed.push(tree) }),
    downloads: join(dir, "downloads"),
    config: {
      python: { interpreters: {}, indexes, environmentBytes: bytes },
      npm: null,
      environment: process.env,
    },
    env: { PATH: path },
    ...(buildMs !== undefined && { buildMs }),
  } satisfies EnvironmentDeps;
}

/** Serves wheels as a package index. @returns Its address. */
async function serve(served: Wheels): Promise<string> {
  const server = createServer((request, response) => void served.answer(request.url ?? "", response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple`;
}

/** The lock of these requirements, in a folder of code. */
async function lock(requirements: string, more: Partial<LockedEnvironment> = {}) {
  const codeDir = await mkdtemp(join(dir, "code-"));
  await writeFile(join(codeDir, "requirements.txt"), requirements);
  const environment: LockedEnvironment = {
    kind: "lock",
    python: pythonMinor(),
    requirements: "requirements.txt",
    digest: createHash("sha256").update(requirements).digest("hex"),
    indexes: [],
    build: [],
    ...more,
  };
  return { environment, codeDir, signal: new AbortController().signal };
}

const run = (program: string, ...args: string[]) => execFileSync(program, args, { encoding: "utf8" }).trim();

describe.skipIf(!hasPython).each(INSTALLERS)("an environment by $name", { timeout: 120_000 }, ({ find }) => {
  beforeAll(async () => {
    path = await find();
  });

  test("is built once, is complete and cannot be changed, and its scripts work", async () => {
    const line = await wheels.add("greeting", "def main(): print('hello')\n");
    const deps = await open();
    const args = await lock(line);
    let builds = 0;
    const bring = () => bringEnvironment(deps, { ...args, onBuild: () => builds++ });
    const [first, second] = await Promise.all([bring(), bring()]);
    expect(builds).toBe(1);
    expect(second.dir).toBe(first.dir);
    expect(await bring()).toMatchObject({ cached: true });
    expect(changed).toEqual([]);
    expect(run(first.interpreter.path, "-c", "import greeting; greeting.main()")).toBe("hello");
    expect(run(join(first.dir, "bin", "greeting"))).toBe("hello");
    const [lib = ""] = await readdir(join(first.dir, "lib"));
    const packages = join(first.dir, "lib", lib, "site-packages");
    expect(await readdir(join(packages, "greeting", "__pycache__"))).toHaveLength(1);
    expect(await readdir(join(packages, "greeting", "tests"))).toEqual(["test_greeting.py"]);
    expect((await stat(packages)).mode & 0o222).toBe(0);
  });

  test("is another one for another lock, and the one not used is removed above the budget", async () => {
    const [one, two] = [await wheels.add("one", ""), await wheels.add("two", "")];
    const deps = await open({ bytes: 1 });
    const first = await bringEnvironment(deps, await lock(one));
    const second = await bringEnvironment(deps, await lock(one + two));
    expect(second.dir).not.toBe(first.dir);
    await first.release();
    const third = await bringEnvironment(deps, await lock(two));
    const isThere = (path: string) =>
      stat(path).then(
        () => true,
        () => false,
      );
    await expect.poll(() => isThere(first.dir), { timeout: 30_000 }).toBe(false);
    expect([await isThere(second.dir), await isThere(third.dir)]).toEqual([true, true]);
  });

  test("that was changed is built again", async () => {
    const deps = await open();
    const args = await lock(await wheels.add("greeting", "text = 'hello'\n"));
    const first = await bringEnvironment(deps, args);
    const [lib = ""] = await readdir(join(first.dir, "lib"));
    const folder = join(first.dir, "lib", lib, "site-packages", "greeting");
    await chmod(folder, 0o755);
    await writeFile(join(folder, "planted.py"), "");
    const again = await bringEnvironment(deps, args);
    expect(again).toMatchObject({ cached: false });
    expect(changed).toEqual([first.dir]);
    expect(await readdir(join(again.dir, "lib", lib, "site-packages", "greeting"))).not.toContain(
      "planted.py",
    );
  });

  test("whose build is given up leaves nothing that a later attempt would use", async () => {
    const line = await wheels.add("greeting", "");
    const deps = await open();
    const args = await lock(line);
    const stop = new AbortController();
    const bringing = bringEnvironment(deps, { ...args, signal: stop.signal, onBuild: () => stop.abort() });
    await expect(bringing).rejects.toThrow();
    expect(await bringEnvironment(deps, args)).toMatchObject({ cached: false });
    expect(changed).toEqual([]);
  });

  test("whose builder is killed half way is built anew", async () => {
    const line = await wheels.add("greeting", "text = 'whole'\n");
    const args = await lock(line);
    const asked = Promise.withResolvers<void>();
    const server = createServer(() => asked.resolve());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    const deps = await open();
    const told = {
      cacheDir: deps.cache.dir,
      downloads: deps.downloads,
      indexes: { default: { url: `http://127.0.0.1:${port}/simple` } },
      environment: args.environment,
      codeDir: args.codeDir,
      path,
    };
    const builder = spawn(process.execPath, [BUILDER, JSON.stringify(told)], { stdio: "ignore" });
    await asked.promise;
    builder.kill("SIGKILL");
    await once(builder, "exit");
    expect(await readdir(join(deps.cache.dir, ".making"))).toHaveLength(1);
    // Opened again, as by the worker's next start.
    const { interpreter, cached } = await bringEnvironment(await open(), args);
    expect(cached).toBe(false);
    expect(run(interpreter.path, "-c", "import greeting; print(greeting.text)")).toBe("whole");
    expect(await readdir(join(deps.cache.dir, ".making"))).toEqual([]);
  });

  test("for which the disk has no space is built once there is space", async (context) => {
    const cacheDir = join(dir, "environments");
    await mkdir(cacheDir);
    const mount = (options: string) => spawnSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", cacheDir]);
    if (mount("size=100k").status !== 0) {
      console.warn("SKIPPED: only root can make a small disk.");
      context.skip();
    }
    try {
      const args = await lock(await wheels.add("greeting", `text = 'whole' # ${"x".repeat(100_000)}\n`));
      await expect(bringEnvironment(await open(), args)).rejects.toMatchObject({
        code: "disk-full",
        kind: "unavailable",
      });
      expect((await readdir(cacheDir)).filter((name) => name.startsWith("python-"))).toEqual([]);
      expect(mount("remount,size=64m").status).toBe(0);
      const { interpreter } = await bringEnvironment(await open(), args);
      expect(run(interpreter.path, "-c", "import greeting; print(greeting.text)")).toBe("whole");
    } finally {
      expect(spawnSync("umount", [cacheDir]).status).toBe(0);
    }
  });

  /** Each lock that cannot be installed, with the code of its error. */
  const FAULTS: Record<
    string,
    { requirements: () => Promise<string> | string; more?: Partial<LockedEnvironment>; code: string }
  > = {
    "a wheel with another hash": {
      requirements: async () => {
        await wheels.add("greeting", "");
        return wheels.line("greeting", Buffer.from("other"));
      },
      code: "hash-mismatch",
    },
    "a package without a wheel": { requirements: () => `greeting==1.0 ${HASH}\n`, code: "no-wheel" },
    "a package with a source archive only": {
      requirements: () => wheels.addArchive("greeting"),
      code: "no-wheel",
    },
    "an index that the worker does not have": {
      requirements: () => `greeting==1.0 ${HASH}\n`,
      more: { indexes: ["internal"] },
      code: "unknown-index",
    },
    "requirements that were not signed": {
      requirements: () => `greeting==1.0 ${HASH}\n`,
      more: { digest: "0".repeat(64) },
      code: "bad-lock",
    },
    "requirements that are not in the code": {
      requirements: () => "",
      more: { requirements: "other.txt" },
      code: "bad-lock",
    },
    "another index in the requirements": {
      requirements: () => `--index-url http://127.0.0.1:9/\ngreeting==1.0 ${HASH}\n`,
      code: "bad-lock",
    },
  };
  test.each(Object.entries(FAULTS))("with %s is refused", async (_, { requirements, more, code }) => {
    const args = await lock(await requirements(), more);
    await mkdir(wheels.dir, { recursive: true });
    const error = await bringEnvironment(await open(), args).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(EnvironmentError);
    expect(error).toMatchObject({ code, kind: "refused" });
    // The message leaves the network.
    expect(String(error)).not.toMatch(/greeting|127\.0\.0\.1/);
  });

  test("takes each package from the index that has the locked file", async () => {
    const [own, other] = [new Wheels(join(dir, "own")), new Wheels(join(dir, "other"))];
    const line = await own.add("greeting", "text = 'own'\n", "2.0");
    const more = await other.add("greeting", "text = 'of another version'\n", "1.0");
    const indexes = { default: { url: await serve(own) }, internal: { url: await serve(other) } };
    for (const [locked, text] of [
      [line, "own"],
      [more, "of another version"],
    ]) {
      const args = await lock(locked ?? "", { indexes: ["default", "internal"] });
      const { interpreter } = await bringEnvironment(await open({ indexes }), args);
      expect(run(interpreter.path, "-c", "import greeting; print(greeting.text)")).toBe(text);
    }
  });

  test("builds only the packages that the spec names, with the tools of the lock", async () => {
    const greeting = await wheels.addSource("greeting", "text = 'built'\n");
    const args = await lock(greeting + (await wheels.addBackend()), { build: ["Greeting"] });
    const { interpreter } = await bringEnvironment(await open(), args);
    expect(run(interpreter.path, "-c", "import greeting; print(greeting.text)")).toBe("built");
    const unnamed = await lock(greeting, { build: ["other"] });
    await expect(bringEnvironment(await open(), unnamed)).rejects.toMatchObject({ code: "no-wheel" });
  });

  test("whose build hangs is given up, and leaves no process", async () => {
    const note = join(dir, "hanging");
    const backend = await wheels.add("backend", hangingBackend(note));
    const args = await lock((await wheels.addSource("greeting", "")) + backend, { build: ["greeting"] });
    const stop = new AbortController();
    const bringing = bringEnvironment(await open(), { ...args, signal: stop.signal });
    const ended = expect(bringing).rejects.toThrow("enough");
    const left = () => readFile(note, "utf8").catch(() => "");
    await expect.poll(left).not.toBe("");
    const pid = Number(await left());
    expect((await readProcess(pid))?.zombie).toBe(false);
    stop.abort(new Error("enough"));
    await ended;
    // A killed process may stay as a zombie until its new parent has heard of it.
    await expect.poll(async () => (await readProcess(pid))?.zombie ?? true).toBe(true);
  });

  test("of a missing version of Python is refused", async () => {
    const args = await lock(`greeting==1.0 ${HASH}\n`, { python: "3.99" });
    await expect(bringEnvironment(await open(), args)).rejects.toMatchObject({ code: "no-python" });
  });

  test("whose index is down, or never answers, can be built later", async () => {
    const args = await lock(`greeting==1.0 ${HASH}\n`);
    const down = await open({ indexes: { default: { url: "http://127.0.0.1:9/simple" } } });
    await expect(bringEnvironment(down, args)).rejects.toMatchObject({
      code: "index-unreachable",
      kind: "unavailable",
    });
    const server = createServer(() => {});
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.closeAllConnections());
    const { port } = server.address() as AddressInfo;
    const hanging = { default: { url: `http://127.0.0.1:${port}/simple` } };
    const silent = await open({ indexes: hanging, buildMs: 3_000 });
    await expect(bringEnvironment(silent, args)).rejects.toMatchObject({
      code: "timeout",
      kind: "unavailable",
    });
    server.close();
  });
});

test.each([
  ["a version without a hash", "greeting==1.0\n"],
  ["a range", `greeting>=1.0 ${HASH}\n`],
  ["an address", `greeting @ https://example.com/greeting.whl ${HASH}\n`],
  ["a local path", `./greeting ${HASH}\n`],
  ["an editable package", "-e .\n"],
  ["another file", "-r other.txt\n"],
  ["an option after a hash", `greeting==1.0 ${HASH} --config-settings=x\n`],
  ["a weak hash", `greeting==1.0 --hash=md5:${"0".repeat(32)}\n`],
])("requirements with %s are refused", (_, text) => {
  expect(() => checkRequirements(Buffer.from(text))).toThrow(EnvironmentError);
});

test("requirements may have markers, extras, comments and continued lines", () => {
  const text = `# made by a tool\ngreeting[loud]==1.0 ; python_version >= "3.10" \\\n    ${HASH} \\\n    ${HASH}\n\nother==2!1.0+local ${HASH}\n`;
  expect(checkRequirements(Buffer.from(text)).map(({ name }) => name)).toEqual(["greeting", "other"]);
});

test("a worker that separates its runs builds nothing from source, because that would run the package's code as root", async () => {
  path = pathWithoutUv();
  const deps = { ...(await open()), buildsSources: false };
  const building = bringEnvironment(
    deps,
    await lock(`some-package==1.0 ${HASH}\n`, { build: ["some-package"] }),
  );
  await expect(building).rejects.toMatchObject({
    name: "EnvironmentError",
    code: "no-sources",
    kind: "refused",
  });
});
