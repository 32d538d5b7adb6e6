import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { GATEWAY_ENV } from "@towpath/contract/words";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GatewayFixture } from "../gateway/gateway.fixture.ts";

const FIXTURE = fileURLToPath(new URL("./main.fixture.ts", import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "towpath-main-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Starts the fixture by plain `node`; `onOut` sees its output so far. */
async function start(
  argv: readonly string[],
  args: {
    env?: Record<string, string>;
    onOut?: (out: string, kill: (signal: NodeJS.Signals) => void) => void;
  } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [FIXTURE, ...argv], {
    cwd: folder,
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE, ...args.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [out, err] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    args.onOut?.(out, (signal) => child.kill(signal));
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, out, err };
}

describe("a flow started by plain node", () => {
  test("runs without any server, shows itself, keeps its result, and exits with 0", async () => {
    const { code, out, err } = await start(["mode=fine", "-p", "count=3"]);
    expect(err).toBe("");
    expect(code).toBe(0);
    expect(out).toMatch(
      /▸ ends\n[\s\S]*mode fine \(inner\)\n✓ inner [\s\S]*✓ ends completed in [\s\S]*count: 3/,
    );
    expect(out).not.toContain("\u001b[");
    expect(await readdir(join(folder, ".towpath/store/runs"))).toHaveLength(1);
  });

  test("exits with 1 on a failure, and prints the user's frames alone", async () => {
    const { code, out, err } = await start(["mode=throw"]);
    expect(code).toBe(1);
    expect(out).toContain("✗ ends failed");
    expect(err).toContain("RangeError: out of range");
    expect(err).toContain("main.fixture.ts");
    expect(err).not.toMatch(/run-task|time-limit|node:internal/);
    expect(err).toMatch(/\n→ Correct the cause and run it again\.[^\n]*\n$/);
  });

  test("says what is wrong with a parameter, what was meant, and exits with 65", async () => {
    const { code, err, out } = await start(["moda=x", "count=many"]);
    expect([code, out]).toEqual([65, ""]);
    expect(err).toBe(
      [
        '✗ The parameters of the flow "ends" are not valid.',
        '  unknown parameter "moda"; did you mean "mode"?',
        '  count must be a whole number, not "many"',
        '→ mode=…   string, default "well"',
        "→ count=…  integer, default 1",
        "",
      ].join("\n"),
    );
    const early = await start(["count=1.5"]);
    expect([early.code, early.out]).toEqual([65, ""]);
    const bare = await start(["well"]);
    expect([bare.code, bare.err]).toEqual([
      64,
      expect.stringMatching(
        /^✗ "well" is not a parameter\. Write it as name=value\.\n→ `node \S+ --help` lists/,
      ),
    ]);
  });

  test("lists its parameters with --help, and runs nothing", async () => {
    const { code, out, err } = await start(["--help"]);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(/^Usage: node \S+main\.fixture\.ts \[NAME=VALUE …\]/);
    expect(out).toContain('  mode=…   string, default "well"\n  count=…  integer, default 1\n');
    expect(out).not.toContain("▸");
  });

  test("fails by what nothing in it handled, instead of dying or going on", async () => {
    const rejected = await start(["mode=reject"]);
    expect(rejected).toMatchObject({ code: 1, err: expect.stringContaining("nobody listens") });
    const thrown = await start(["mode=callback"]);
    expect(thrown).toMatchObject({ code: 1, err: expect.stringContaining("thrown in a callback") });
  });

  test("is cancelled by an interrupt", async () => {
    const { code, out } = await start(["mode=wait"], {
      onOut: (out, kill) => {
        if (out === "▸ ends\n") kill("SIGINT");
      },
    });
    expect(code).toBe(2);
    expect(out).toContain("✗ ends cancelled");
  });

  test("that a task blocks beyond its time is killed, and told where it was", async () => {
    const { code, err } = await start(["mode=spin"]);
    expect(code).toBe(null);
    expect(err).toMatch(/TaskTimeout: Task "spin" blocked its process[\s\S]*at .*main\.fixture\.ts:\d+/);
    expect(err).not.toMatch(/node:internal|run-task/);
  });

  test("that a task blocks in a worker is reported by the watchdog, with the cause timeout", async () => {
    await using gateway = await GatewayFixture.start();
    gateway.parameters = { mode: "spin" };
    const { socket, tokenFile } = gateway.address;
    const env = { [GATEWAY_ENV.socket]: socket, [GATEWAY_ENV.tokenFile]: tokenFile };
    expect(await start([], { env })).toMatchObject({ code: null });
    expect(gateway.faults).toEqual([]);
    expect(gateway.journal.at(-2)).toMatchObject({ type: "task", path: "spin", move: "fail", tries: 1 });
    expect(gateway.journal.at(-1)).toMatchObject({
      outcome: "failed",
      cause: "timeout",
      error: { name: "TaskTimeout", stack: expect.stringContaining("main.fixture.ts") },
    });
  });

  test("whose task ignores that its time is up ends with its process, where the task says so", async () => {
    const { code, err } = await start(["mode=deaf"]);
    expect(code).toBe(1);
    expect(err).toMatch(/TaskTimeout: Task "deaf" took longer than its 50 ms and did not end within 50 ms/);
  });

  test("whose task ignores that its time is up tells its worker so, with the cause timeout, and its process ends", async () => {
    await using gateway = await GatewayFixture.start();
    gateway.parameters = { mode: "deaf" };
    const { socket, tokenFile } = gateway.address;
    const env = { [GATEWAY_ENV.socket]: socket, [GATEWAY_ENV.tokenFile]: tokenFile };
    expect(await start([], { env })).toMatchObject({ code: 1 });
    expect(gateway.faults).toEqual([]);
    expect(gateway.journal.at(-2)).toMatchObject({ type: "task", path: "deaf", move: "fail", tries: 1 });
    expect(gateway.journal.at(-1)).toMatchObject({
      outcome: "failed",
      cause: "timeout",
      error: { name: "TaskTimeout", message: expect.stringContaining('Task "deaf"') },
    });
  });

  test("that a task blocks only once its time is up is killed too, where the task says so", async () => {
    const { code, err } = await start(["mode=spin late"]);
    expect(code).toBe(null);
    expect(err).toMatch(/TaskTimeout: Task "spinsLate" blocked its process[\s\S]*at .*main\.fixture\.ts:\d+/);
  });

  test("reports to the gateway that its environment names, as a command in a worker does", async () => {
    await using gateway = await GatewayFixture.start();
    gateway.parameters = { mode: "through the gateway" };
    const { socket, tokenFile } = gateway.address;
    const env = { [GATEWAY_ENV.socket]: socket, [GATEWAY_ENV.tokenFile]: tokenFile };
    const { code, out } = await start(["count=2"], { env });
    expect({ code, out }).toEqual({ code: 0, out: "" });
    expect(gateway.journal.map(({ type }) => type)).toEqual(["task", "task", "log", "task", "outcome"]);
  });
});

test("importing the package loads no schema library and no HTTP", async () => {
  const index = new URL("../index.ts", import.meta.url).href;
  const script = `import { registerHooks } from "node:module";
    const seen = [];
    registerHooks({ load: (url, context, next) => { seen.push(url); return next(url, context); } });
    await import(${JSON.stringify(index)});
    console.log(seen.filter((url) => /node:http|node_modules/.test(url)).join());`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let out = "";
  for await (const text of child.stdout) out += String(text);
  expect(out.trim()).toBe("");
});

describe("a question of a flow started by plain node", () => {
  test("is answered by --answer", async () => {
    const { code, out, err } = await start(["mode=ask", "--answer", "Publish?=yes"]);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toContain("published: true");
    const event = await start(["mode=event", '--answer=landed a={"at":3}']);
    expect(event.out).toContain('landed: {"at":3}');
  });

  test("that nobody can answer suspends it with the next step, and is no failure", async () => {
    const { code, out, err } = await start(["mode=ask"]);
    expect([code, err]).toEqual([1, ""]);
    expect(out).toMatch(/ends waits for an answer[^\n]*\n {2}Publish\?\n[^\n]*--answer "QUESTION=ANSWER"/);
    expect(out).not.toContain("onFailure was called");
  });

  test("refuses an answer of another type, and an answer without a question", async () => {
    const wrong = await start(["mode=ask", "--answer", "Publish?=maybe"]);
    expect([wrong.code, wrong.err]).toEqual([1, ""]);
    expect(wrong.out).toContain('"maybe" is not an answer to this question: write yes or no.');
    expect(wrong.out).not.toContain("onFailure was called");
    const bare = await start(["mode=ask", "--answer", "yes"]);
    expect([bare.code, bare.err]).toEqual([64, expect.stringContaining("QUESTION=ANSWER")]);
  });
});
