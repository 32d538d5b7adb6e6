import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ExternalSources } from "./external.ts";
import { SECRET_MAX_BYTES } from "./limits.ts";
import { readSecret } from "./providers.ts";
import { runCommand } from "./run-command.ts";
import { SourceFault } from "./secret-unavailable.ts";
import type { ExecSource } from "./shapes.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "twp-command-"));
});
afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

const { PATH } = process.env;

function source(script: string, more: Partial<ExecSource["exec"]> = {}): ExecSource {
  const command = [process.execPath, "-e", script] as const;
  return { exec: { command, variables: [], timeoutMs: 60_000, cacheMs: 10_000, folder: dir, ...more } };
}

const prints = (text: string) => source(`process.stdout.write(${JSON.stringify(text)})`);
const faultOf = async (given: ExecSource) => await runCommand(given, { PATH }).catch((thrown) => thrown);

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("a secret is what a command prints, without its last line ending", async () => {
  expect(await runCommand(prints("two\nlines\r\n"), { PATH })).toBe("two\nlines");
  expect(await runCommand(prints(" padded "), { PATH })).toBe(" padded ");
});

test("no shell reads the arguments", async () => {
  const command = [process.execPath, "-p", "process.argv[1]", "--", "$(id); `id`; $HOME | x"] as const;
  expect(await runCommand(source("", { command }), { PATH, HOME: "/root" })).toBe("$(id); `id`; $HOME | x");
});

test("a command sees only the usual variables and those that its source names", async () => {
  const environment = { PATH, HOME: "/home/w", TOWPATH_SECRET_OTHER: "hidden", VAULT_TOKEN: "named" };
  const given = source("process.stdout.write(JSON.stringify(process.env))", { variables: ["VAULT_TOKEN"] });
  const seen = JSON.parse(await runCommand(given, environment));
  expect(seen).toEqual({ PATH, HOME: "/home/w", VAULT_TOKEN: "named" });
});

test.each([
  ["fails", source('console.log("the-value"); console.error("the-value"); process.exit(3)'), "code 3"],
  ["prints nothing", prints("\n"), "printed nothing"],
  ["prints too much", prints("x".repeat(SECRET_MAX_BYTES + 3)), "more than 65536 bytes"],
  ["prints no text", source("process.stdout.write(Buffer.from([0xff, 0xfe]))"), "no UTF-8 text"],
  ["is missing", source("", { command: ["/nonexistent/program"] }), "cannot be started"],
  ["runs in a missing folder", source("", { folder: "/nonexistent" }), "cannot be started"],
  ["is ended by a signal", source('process.kill(process.pid, "SIGKILL")'), "a signal"],
])("a command that %s is a fault that says so and never quotes its output", async (_, given, said) => {
  const fault = await faultOf(given);
  expect(fault).toBeInstanceOf(SourceFault);
  expect(fault.message).toContain(said);
  expect(fault.message).not.toContain("the-value");
  expect(fault.next).not.toBe("");
});

test("a command that takes too long is killed with its child processes", async () => {
  const pids = join(dir, "pids");
  const script = `
    const { spawn } = require("node:child_process");
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "inherit" });
    require("node:fs").writeFileSync(${JSON.stringify(pids)}, process.pid + " " + child.pid);
    setInterval(() => {}, 1000);`;
  const fault = await faultOf(source(script, { timeoutMs: 3_000 }));
  expect(fault.message).toContain("did not end within 3000 ms");
  const started = (await readFile(pids, "utf8")).split(" ").map(Number);
  expect(started).toHaveLength(2);
  for (const pid of started) await expect.poll(() => isAlive(pid)).toBe(false);
});

test("a value is kept for its time, callers at once share one command, and a fault is kept for a moment", async () => {
  const count = join(dir, "count");
  const fails = join(dir, "fails");
  const script = `
    const fs = require("node:fs");
    fs.appendFileSync(${JSON.stringify(count)}, "x");
    if (fs.existsSync(${JSON.stringify(fails)})) process.exit(1);
    process.stdout.write("value" + fs.readFileSync(${JSON.stringify(count)}, "utf8").length);`;
  let nowMs = 0;
  const external = new ExternalSources({ environment: { PATH }, clock: { nowMs: () => nowMs } });
  const read = () =>
    readSecret({ environment: {}, external }, { name: 'the secret "db"', source: source(script) });
  expect(await Promise.all([read(), read(), read()])).toEqual(["value1", "value1", "value1"]);
  nowMs = 9_999;
  expect(await read()).toBe("value1");
  nowMs = 10_000;
  expect(await read()).toBe("value2");
  await writeFile(fails, "");
  nowMs = 20_000;
  const refused = 'The secret "db" cannot be read: its command ended with code 1. Run the command by hand';
  await expect(read()).rejects.toThrow(refused);
  await expect(read()).rejects.toMatchObject({ isMissing: false, isPassing: true });
  await rm(fails);
  nowMs = 24_999;
  await expect(read()).rejects.toThrow(refused);
  expect((await readFile(count, "utf8")).length).toBe(3);
  nowMs = 25_000;
  expect(await read()).toBe("value4");
});
