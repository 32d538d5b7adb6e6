import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { identifyProcess, isAlive } from "@towpath/contract/process";
import { describe, expect, test } from "vitest";
import { projectConfig } from "../deployments/load-project.ts";
import { caught, folderWith } from "../fixture.ts";
import { stateFolder } from "../kernel/state-folder.ts";
import { startChild } from "./children.ts";
import { recordProcesses, takeOver } from "./earlier.ts";
import { endedWithin } from "./ending.ts";
import { lastLines, saidBy } from "./log-tail.ts";
import { choosePort, DEFAULT_PORT } from "./port.ts";
import { isSource, watchSources } from "./watch.ts";

const environment = { PATH: process.env.PATH };
const sleeper = ["-e", "setInterval(() => {}, 1000); process.on('SIGTERM', () => process.exit(0))"];

async function startNamed(name: string, root: string, args: readonly string[]) {
  return startChild({ name, args, cwd: root, environment, log: join(root, `${name}.log`) });
}

describe("a port", () => {
  test("from an option is refused if another process uses it", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    expect(await caught(choosePort(port))).toMatchObject({ code: "port-taken" });
    await new Promise((resolve) => server.close(resolve));
    expect(await choosePort(port)).toBe(port);
  });

  test("is the next free one without an option", async () => {
    const port = await choosePort(undefined);
    expect(port).toBeGreaterThanOrEqual(DEFAULT_PORT);
    expect(await choosePort(undefined, port)).toBeGreaterThan(port);
  });
});

describe("a child process", () => {
  test("that ends by itself shows its last lines", async () => {
    await using folder = await folderWith();
    const log = `console.log('{"level":50,"msg":"no room","err":{"message":"disk full"}}'); process.exit(3)`;
    const child = await startNamed("worker", folder.root, ["-e", log]);
    const failure = await caught(child.whileAlive(new Promise(() => undefined)));
    expect(failure).toMatchObject({ message: "The worker stopped unexpectedly (exit code 3)." });
    expect(failure).toMatchObject({
      next: ["its log says: no room: disk full", expect.stringContaining("worker.log")],
    });
  });

  test("that reports a fatal error is quoted with that sentence alone", async () => {
    await using folder = await folderWith();
    const log = `console.log('{"fatal":{"code":"x","message":"Port 1 is taken."}}'); process.exit(78)`;
    const child = await startNamed("control", folder.root, ["-e", log]);
    expect(await caught(child.whileAlive(new Promise(() => undefined)))).toMatchObject({
      message: "Port 1 is taken.",
    });
  });

  test("gets a signal to stop, and is killed if it does not", async () => {
    await using folder = await folderWith();
    const kind = await startNamed("kind", folder.root, sleeper);
    const deaf = await startNamed("deaf", folder.root, [
      "-e",
      "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)",
    ]);
    await expect
      .poll(() => readFile(join(folder.root, "deaf.log"), "utf8"), { timeout: 60_000 })
      .toBe("up\n");
    await kind.stop(20_000);
    await deaf.stop(200);
    expect([await isAlive(kind.identity), await isAlive(deaf.identity)]).toEqual([false, false]);
    expect(await deaf.ended).toBe("SIGKILL");
  });

  test("shows only the output of its last start, with JSON lines as sentences", async () => {
    await using folder = await folderWith({ "a.log": "old\n\nnew\n" });
    const lines = await lastLines(join(folder.root, "a.log"), { from: 4, count: 5 });
    expect(lines).toEqual(["new"]);
    expect(saidBy('{"msg":"hello"}')).toBe("hello");
    expect(saidBy("{not json")).toBe("{not json");
  });
});

describe("a state folder", () => {
  test("is refused while another `towpath dev` uses it", async () => {
    await using folder = await folderWith();
    const state = stateFolder(join(folder.root, ".towpath"));
    await takeOver(state);
    const failure = await caught(takeOver(state));
    expect(failure).toMatchObject({ code: "already-running" });
    expect(String(failure)).toContain(`process ${process.pid}`);
  });

  test("is free after a kill: the remaining processes are ended, but never an unrelated process with the same pid", async () => {
    await using folder = await folderWith();
    const state = stateFolder(join(folder.root, ".towpath"));
    const left = await startNamed("worker", folder.root, sleeper);
    const other = await startNamed("other", folder.root, sleeper);
    await recordProcesses(state, [left, other]);
    const dead = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    const dev = await identifyProcess(dead.pid ?? 0);
    dead.kill("SIGKILL");
    await once(dead, "exit");
    const written = JSON.parse(await readFile(state.devFile, "utf8"));
    written.dev = dev;
    written.children[1].identity.start = "another start";
    await writeFile(state.devFile, JSON.stringify(written));
    expect(await takeOver(state)).toEqual(["worker"]);
    expect(await endedWithin(left.identity, 0)).toBe(true);
    expect(await isAlive(other.identity)).toBe(true);
    other.kill();
  });

  test("that cannot be written is named", async () => {
    await using folder = await folderWith({ blocked: "a file" });
    const failure = await caught(takeOver(stateFolder(join(folder.root, "blocked", ".towpath"))));
    expect(failure).toMatchObject({ code: "not-writable", exit: "cannotWrite" });
  });
});

test("a folder without a project is refused before anything is started or written", async () => {
  await using folder = await folderWith();
  expect(await caught(projectConfig(folder.root))).toMatchObject({
    code: "bad-config",
    message: `There is no towpath.config.ts, towpath_config.py or [tool.towpath] in ${folder.root}.`,
  });
});

describe("watching", () => {
  test.each([
    ["src/flow.ts", true],
    ["python/train.py", true],
    ["node_modules/x/index.js", false],
    [".towpath/control/server.json", false],
    [".env", false],
    ["deep/dist/a.js", false],
    ["flows/hello.ts~", false],
  ])("%s: %s", (path, source) => expect(isSource(path)).toBe(source));

  test("reports a burst of changes once, and changes during the deploy once more", async () => {
    await using folder = await folderWith({ "src/a.ts": "1" });
    await mkdir(join(folder.root, "node_modules"));
    const stop = new AbortController();
    const calls: (readonly string[])[] = [];
    const { promise: twice, resolve } = Promise.withResolvers<void>();
    await watchSources(folder.root, {
      signal: stop.signal,
      takesData: false,
      async onChange(paths) {
        calls.push(paths);
        if (calls.length === 1) await writeFile(join(folder.root, "src/b.ts"), "x");
        else resolve();
      },
    });
    await writeFile(join(folder.root, "node_modules/x.js"), "ignored");
    await writeFile(join(folder.root, "src/a.ts"), "2");
    await writeFile(join(folder.root, "src/a.ts"), "3");
    await twice;
    stop.abort();
    expect(calls).toEqual([["src/a.ts"], ["src/b.ts"]]);
  });

  test("still reports a file that an editor replaces by a rename, and names only that file", async () => {
    await using folder = await folderWith({ "src/a.ts": "1" });
    const stop = new AbortController();
    const calls: (readonly string[])[] = [];
    await watchSources(folder.root, {
      signal: stop.signal,
      takesData: false,
      async onChange(paths) {
        calls.push(paths);
      },
    });
    const seen = (count: number) => expect.poll(() => calls.length, { timeout: 60_000 }).toBe(count);
    await writeFile(join(folder.root, "src/sedXyZ"), "2");
    await rename(join(folder.root, "src/sedXyZ"), join(folder.root, "src/a.ts"));
    await seen(1);
    await writeFile(join(folder.root, "src/a.ts"), "3");
    await seen(2);
    await mkdir(join(folder.root, "new"));
    await writeFile(join(folder.root, "new/b.ts"), "1");
    await seen(3);
    await rm(join(folder.root, "new/b.ts"));
    await seen(4);
    stop.abort();
    expect(calls).toEqual([["src/a.ts"], ["src/a.ts"], ["new/b.ts"], ["new/b.ts"]]);
  });

  test("reports data files only if the project names its files, or may name them since a change of its configuration", async () => {
    await using folder = await folderWith({ "a.ts": "1", "towpath.config.ts": "1" });
    const stop = new AbortController();
    const calls: string[] = [];
    const watch = (name: string, takesData: boolean) =>
      watchSources(folder.root, {
        signal: stop.signal,
        takesData,
        async onChange(paths) {
          calls.push(...paths.map((path) => `${name} ${path}`));
        },
      });
    await watch("all", true);
    await watch("code", false);
    const seen = (...paths: string[]) =>
      expect.poll(() => calls.toSorted(), { timeout: 60_000 }).toEqual(paths.toSorted());
    await writeFile(join(folder.root, "cache.db"), "1");
    await seen("all cache.db");
    await writeFile(join(folder.root, "a.ts"), "2");
    await seen("all cache.db", "all a.ts", "code a.ts");
    await writeFile(join(folder.root, "towpath.config.ts"), "2");
    const configured = ["all towpath.config.ts", "code towpath.config.ts"];
    await seen("all cache.db", "all a.ts", "code a.ts", ...configured);
    await writeFile(join(folder.root, "cache.db"), "2");
    await seen("all cache.db", "all a.ts", "code a.ts", ...configured, "all cache.db", "code cache.db");
    stop.abort();
  });

  test("does not report data files that are skipped, also those in a new folder, but reports source files", async () => {
    await using folder = await folderWith({ "a.ts": "1", "rows.csv": "1" });
    const stop = new AbortController();
    const calls: string[] = [];
    const skipped = new Set<string>();
    let isRunning = true;
    await watchSources(folder.root, {
      signal: stop.signal,
      takesData: true,
      skipsData(path) {
        if (isRunning) skipped.add(path);
        return isRunning;
      },
      async onChange(paths) {
        calls.push(...paths);
      },
    });
    await writeFile(join(folder.root, "rows.csv"), "2");
    await mkdir(join(folder.root, "out"));
    await writeFile(join(folder.root, "out/sums.csv"), "1");
    await expect
      .poll(() => [...skipped].toSorted(), { timeout: 60_000 })
      .toEqual(["out/sums.csv", "rows.csv"]);
    await writeFile(join(folder.root, "a.ts"), "2");
    await expect.poll(() => calls, { timeout: 60_000 }).toEqual(["a.ts"]);
    isRunning = false;
    await writeFile(join(folder.root, "rows.csv"), "3");
    await expect.poll(() => calls, { timeout: 60_000 }).toEqual(["a.ts", "rows.csv"]);
    stop.abort();
  });
});
