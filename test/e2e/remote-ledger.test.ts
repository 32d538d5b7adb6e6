import { rename, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { GitServer, git } from "../../worker/src/code/git-server.fixture.ts";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";
import { deployProject } from "./fixture.ts";

const configOf = (command: string) => `
import { defineConfig, deployment, ociLayout } from "towpath/config";
export default defineConfig({
  project: "ledgers",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment({ name: "echo", command: ["${command}"] })],
});
`;
const LOGIN = { username: "worker", password: "read-only-0a9f3c" };

let stack: Stack;
let home: string;
let server: GitServer;
let worker: TestProcess;
let settings: object;

const start = () => stack.run("echo");
const echo = async () => await stack.waitForRun(await start());

/** Deploys another version, whose line is in the project's ledger and not yet committed. */
async function deployAgain(command: string): Promise<void> {
  const registry = JSON.stringify(join(stack.folder, "registry"));
  await writeFile(join(home, "towpath.config.ts"), configOf(command).replace("REGISTRY", registry));
  const deployed = await stack.towpath(["deploy", "--project", home]);
  expect(deployed.code, deployed.output).toBe(0);
}

function commit(): void {
  git(home, "add", "towpath.ledger.jsonl");
  git(home, "commit", "--quiet", "--message", "Deploy");
}

beforeAll(async () => {
  stack = await startStack();
  home = await deployProject(stack, { "towpath.config.ts": configOf("true") });
  git(home, "init", "--quiet", "--initial-branch=main");
  commit();
  server = await GitServer.start({
    root: dirname(home),
    credentials: `${LOGIN.username}:${LOGIN.password}`,
  });
  const password = join(stack.folder, "git-password");
  await writeFile(password, LOGIN.password, { mode: 0o600 });
  const url = `${server.url}/${basename(home)}/.git`;
  const from = { kind: "git", url, username: LOGIN.username, password: { file: password } };
  // Only a spec that it does not find makes the worker read again.
  settings = { ledger: { from, branch: "main", refreshMs: 3_600_000 } };
  worker = await stack.startWorker({ settings });
});
afterAll(async () => {
  await stack?.[Symbol.asyncDispose]();
  await server?.stop();
});

test("A worker reads the ledger from git: a new version runs as soon as its line is committed", async () => {
  expect(await echo()).toMatchObject({ version: 1, state: "completed" });
  await deployAgain("echo");
  const early = await start();
  const why = async () => (await stack.towpath(["why", early])).output;
  await expect.poll(why, { timeout: 60_000 }).toContain("waits for its line");
  commit();
  expect(await stack.waitForRun(early)).toMatchObject({ version: 2, state: "completed" });
});

test("While the ledger cannot be read, known versions run, and others wait and say why", async () => {
  await rename(join(home, ".git"), join(home, ".gone"));
  expect(await echo()).toMatchObject({ version: 2, state: "completed" });
  await deployAgain("pwd");
  const waiting = await start();
  const why = async () => (await stack.towpath(["why", waiting])).output;
  await expect.poll(why, { timeout: 60_000 }).toContain("cannot read the ledger of signed specs now");
  expect(await why()).not.toContain(server.url);
  await rename(join(home, ".gone"), join(home, ".git"));
  commit();
  expect(await stack.waitForRun(waiting)).toMatchObject({ version: 3, state: "completed" });
});

test("A ledger that went back is refused, and a restarted worker refuses it too", async () => {
  git(home, "reset", "--quiet", "--hard", "HEAD~1");
  worker.kill("SIGTERM");
  await worker.exited;
  worker = await stack.startWorker({ settings });
  await worker.waitFor(/lacks the line/);
  expect(await echo()).toMatchObject({ version: 3, state: "completed" });
  expect(worker.output()).toContain("its copy stays in force until it is 24 h old");
  expect(worker.output()).not.toContain(LOGIN.password);
});
