import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createEmptyDatabase, startStack } from "../harness/index.ts";
import { pageBlocks, writeTitled } from "./page-files.ts";
import { machine } from "./shell.ts";

const PATIENTLY = { timeout: 180_000 };

/** The blocks of a page or section in one language. The test says how many there are. */
function blocks(page: string, language: string, count: number, section?: string): string[] {
  const found = pageBlocks(page, section).filter((block) => block.language === language);
  expect(found.map(({ text }) => text)).toHaveLength(count);
  return found.map(({ text }) => text);
}

test(
  "docs/how-to/external-postgres.md: the control plane starts as the page says, and its key signs in",
  PATIENTLY,
  async () => {
    const [start = "", connect = ""] = blocks("docs/how-to/external-postgres.md", "sh", 2);
    const folder = await mkdtemp(join(tmpdir(), "towpath-page-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    await using database = await createEmptyDatabase();
    const state = join(folder, "control");
    const page = await machine(folder, {
      "postgres://towpath:PASSWORD@db.internal:5432/towpath": database.url,
      "/var/lib/towpath-control": state,
      "TOWPATH_HOST=0.0.0.0 TOWPATH_PORT=4200": "TOWPATH_HOST=127.0.0.1 TOWPATH_PORT=0",
    });
    await using control = page.start(start.replace("npx", "exec npx"));
    await control.waitFor(/"msg":"listening"/);
    const { url } = JSON.parse(await readFile(join(state, "server.json"), "utf8"));
    expect((await stat(join(state, "admin.key"))).mode & 0o777).toBe(0o600);
    for (const probe of ["/healthz", "/readyz"]) expect((await fetch(`${url}${probe}`)).status).toBe(200);

    // The test has no proxy, so the two addresses differ.
    const reached = connect.replace("TOWPATH_URL=https://towpath.example.com", `TOWPATH_URL=${url}`);
    const lines = `export TOWPATH_DASHBOARD_URL=https://towpath.example.com\n${reached}`;
    await using connected = page.start(lines);
    expect(await connected.exited, connected.output()).toBe(0);
    expect(connected.output()).toMatch(/✓ key +.*admin/);
    expect(connected.output()).toMatch(/^https:\/\/towpath\.example\.com\/\S+$/m);
    process.kill(control.pid, "SIGTERM");
    expect(await control.exited, control.output()).toBe(0);
  },
);

const PROJECT = {
  "hello.ts":
    'import { flow } from "towpath";\nexport const hello = flow({ name: "hello" }, () => "hello");\n',
  "towpath.config.ts": `
    import { defineConfig, deployment, git } from "towpath/config";
    import { hello } from "./hello.ts";
    export default defineConfig({
      project: "hello",
      pool: "warehouse",
      registry: git("https://git.internal/data/flows.git", { name: "code" }),
      deployments: [deployment(hello, {})],
    });`,
};

test(
  "docs/how-to/worker-in-a-private-network.md: a worker set up as the page says runs a flow and tells what left",
  PATIENTLY,
  async () => {
    const page = "docs/how-to/worker-in-a-private-network.md";
    const [install = "", pool = "", files = "", start = "", wire = ""] = blocks(page, "sh", 5);
    const [settings = ""] = blocks(page, "json", 2);
    await using stack = await startStack();
    const { folder, url } = stack;
    const [etc, bare] = [join(folder, "etc"), join(folder, "flows.git")];
    execFileSync("git", ["init", "--quiet", "--bare", "--initial-branch=main", bare]);
    const { here, start: inShell } = await machine(folder, {
      "https://towpath.example.com": url,
      "https://git.internal/data/flows.git": `file://${bare}`,
      "/etc/towpath": etc,
      "/var/lib/towpath": join(folder, "lib"),
      "/srv/towpath/store": join(folder, "page-store"),
    });
    expect(install).toContain("npm install --global");

    const key = (await readFile(join(folder, "control/admin.key"), "utf8")).trim();
    await using made = inShell(`set -e\n${pool}`, { TOWPATH_KEY: key });
    expect(await made.exited, made.output()).toBe(0);
    expect(made.output()).not.toContain(key);
    await writeFile(join(folder, "git-token"), "unused");
    await writeFile(join(folder, "signing.pub.jwk"), await readFile(join(folder, "keys/signing.pub.jwk")));
    await using placed = inShell(`set -e\n${files}`);
    expect(await placed.exited, placed.output()).toBe(0);
    expect((await stat(join(etc, "worker.key"))).mode & 0o777).toBe(0o600);
    await writeFile(join(etc, "worker.json"), here(settings));

    const project = Object.entries(PROJECT).map(([path, text]) => [path, here(text)]);
    const deployed = await stack.towpath([
      "deploy",
      "--project",
      await stack.project(Object.fromEntries(project)),
    ]);
    expect(deployed.code, deployed.output).toBe(0);
    const surroundings = { WAREHOUSE_PASSWORD: "correct horse" };
    await using worker = inShell(start, surroundings);
    await worker.waitFor(/polling for work/);
    await using doctor = inShell("towpath doctor --config /etc/towpath/worker.json", surroundings);
    expect(await doctor.exited, doctor.output()).toBe(0);

    const runId = await stack.run("hello");
    expect(await stack.waitForRun(runId), worker.output()).toMatchObject({
      state: "completed",
      pool: "warehouse",
      result: { uri: expect.stringContaining("/page-store/") },
    });
    await using wired = inShell(wire.replace("RUN", runId), surroundings);
    expect(await wired.exited, wired.output()).toBe(0);
    expect(wired.output()).toMatch(/^control +ended +1 /m);
  },
);

/** Matches a line of a `text` block with a printed line: `…` matches anything. */
function looks(text: string): RegExp[] {
  const literal = text.trim().replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const open = literal.replaceAll("…", ".*").replaceAll(/ {2,}/g, " +");
  return open.split("\n").map((line) => new RegExp(`^${line}`, "m"));
}

test(
  "docs/tutorial/first-flow.md: a worker started by hand in another folder runs the flow",
  PATIENTLY,
  async () => {
    const [page, section] = ["docs/tutorial/first-flow.md", "A worker in another folder"];
    const [pool = "", start = "", deploy = "", run = ""] = blocks(page, "sh", 4, section);
    const [settings = ""] = blocks(page, "json", 1, section);
    const [made = "", started = "", deployed = "", ran = ""] = blocks(page, "text", 4, section);
    await using stack = await startStack();
    const home = await stack.project({});
    // `dev` has started the stack there.
    await symlink(stack.folder, join(home, ".towpath"));
    const { here, start: inShell } = await machine(home, {
      "http://127.0.0.1:4200": stack.url,
      "../stations": home,
      "npm install PATH/TO/towpath-0.1.0.tgz": ":",
    });
    const does = async (lines: string, prints: string) => {
      await using shell = inShell(lines);
      expect(await shell.exited, shell.output()).toBe(0);
      for (const line of looks(prints)) expect(shell.output()).toMatch(line);
    };
    for (const block of pageBlocks(page)) await writeTitled({ home, block });

    await does(pool, made);
    await writeFile(join(stack.folder, "shed/worker.json"), here(settings));
    await using worker = inShell(start, { LOG_FORMAT: "pretty" });
    for (const line of looks(started)) await worker.waitFor(line);
    const saved = await stack.towpath(["deploy", "--project", home, "--stage", "dev"]);
    expect(saved.code, saved.output).toBe(0);
    await does(deploy, deployed);
    await does(run, ran);
  },
);
