import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { pageBlocks } from "../docs/page-files.ts";
import { machine } from "../docs/shell.ts";
import { type Beside, type Stack, startStack } from "../harness/index.ts";

const PAGE = "docs/how-to/profiles.md";
const LIMIT = { timeout: 120_000 };

let stack: Stack;
let beside: Beside;
let key: string;
beforeAll(async () => {
  stack = await startStack();
  beside = await stack.startBeside("beside");
  key = (await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim();
}, 240_000);
afterAll(() => stack?.[Symbol.asyncDispose]());

/** A user's machine. The page's addresses lead to two control planes. */
async function home() {
  const folder = await mkdtemp(join(tmpdir(), "towpath-profiles-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const user = await machine(folder, {
    "https://towpath.example.com": stack.url,
    "https://test.towpath.example.com": beside.url,
  });
  const type = async (lines: string, env: NodeJS.ProcessEnv = {}) => {
    await using shell = user.start(lines, env);
    const code = await shell.exited;
    return { code, output: shell.output() };
  };
  const file = join(folder, ".config/towpath/config.json");
  return { folder, file, type, config: async () => JSON.parse(await readFile(file, "utf8")) };
}

const signIn = (url: string, name: string) => `towpath login ${url} --profile ${name}`;

test(`${PAGE} does what it says`, LIMIT, async () => {
  const { type, file } = await home();
  const blocks = pageBlocks(PAGE).filter(({ language }) => language === "sh");
  const [login = "", choose = "", change = "", remove = ""] = blocks.map(({ text }) => text);
  const [shown = ""] = pageBlocks(PAGE).flatMap(({ language, text }) => (language === "text" ? [text] : []));

  const signedIn = await type(`set -e\n${login}`, { TOWPATH_KEY: key });
  expect(signedIn.code, signedIn.output).toBe(0);
  expect(signedIn.output).toContain(`signed in to ${beside.url} as test: workspace default, role admin`);
  expect(signedIn.output).not.toContain(key);
  expect((await stat(file)).mode & 0o777).toBe(0o600);

  const chosen = await type(`set -e\n${choose}`);
  expect(chosen.code, chosen.output).toBe(0);
  expect(chosen.output).toMatch(/^\* +test +\S+ +default$/m);
  expect(chosen.output).toMatch(new RegExp(`^server +${stack.url} \\(from the profile "prod-eu"`, "m"));
  expect(chosen.output).not.toContain(key);

  const changed = await type(change);
  expect(changed.code, changed.output).toBe(0);
  expect(changed.output.startsWith(shown), changed.output).toBe(true);

  const removed = await type(remove);
  expect(removed.code, removed.output).toBe(0);
  expect((await type("towpath profiles ls")).output).not.toMatch(/\btest\b/);
});

describe("a profile", LIMIT, () => {
  test("is shown once before a change, not for reads, and not with --json", async () => {
    const { type } = await home();
    await type(signIn(stack.url, "one"), { TOWPATH_KEY: key });
    const only = await type("towpath pool create alone");
    expect(only.output).not.toContain("workspace default");
    await type(signIn(beside.url, "two"), { TOWPATH_KEY: key });
    const shown = "two (workspace default)";
    expect((await type("towpath pool ls")).output).not.toContain(shown);
    const json = await type("towpath pool create second --json");
    expect(JSON.parse(json.output)).toMatchObject({ name: "second" });
    const set = await type("towpath limit set warehouse 2");
    expect(set.output.split(shown)).toHaveLength(2);
    const named = await type("towpath limit set warehouse 3 --profile one");
    expect(named.output).toMatch(/^one \(workspace default\)\n/);
  });

  test("with a key that the server refuses is not stored, and neither is a worker's key", async () => {
    const { type, file } = await home();
    const wrong = await type(signIn(stack.url, "one"), { TOWPATH_KEY: "twp_api_wrong" });
    expect(wrong.code, wrong.output).toBe(77);
    expect(wrong.output).toContain("does not accept the key");
    const worker = await readFile(join(stack.folder, "worker.key"), "utf8");
    const refused = await type(signIn(stack.url, "one"), { TOWPATH_KEY: worker });
    expect(refused.output).toContain("is a worker key");
    expect(await stat(file).catch(() => null)).toBeNull();
  });

  test("of another server is not replaced, and the same one takes a new key", async () => {
    const { type, config } = await home();
    await type(signIn(stack.url, "one"), { TOWPATH_KEY: key });
    const other = await type(signIn(beside.url, "one"), { TOWPATH_KEY: key });
    expect(other.output).toContain(`The profile "one" is for ${stack.url} (workspace default)`);
    const { secret } = await stack.client.createKey({ body: { kind: "api", name: "new", role: "viewer" } });
    const renewed = await type("towpath login --profile one", { TOWPATH_KEY: secret });
    expect(renewed.code, renewed.output).toBe(0);
    const { workspace } = await stack.client.getMe();
    expect((await config()).profiles).toEqual({
      one: { url: stack.url, key: secret, workspace: "default", workspaceId: workspace.id },
    });
  });

  test("is not renewed with a key whose address is TOWPATH_URL: that address gets the key", async () => {
    const { type, config } = await home();
    await type(`towpath login ${stack.url}`, { TOWPATH_KEY: key });
    const before = await config();
    const wrong = { TOWPATH_URL: beside.url, TOWPATH_KEY: "twp_api_wrong" };
    expect((await type("towpath login", wrong)).output).toContain(`${beside.url} does not accept the key`);
    const other = await type("towpath login", { TOWPATH_URL: beside.url, TOWPATH_KEY: key });
    expect(other).toMatchObject({
      code: 73,
      output: expect.stringContaining(`this key is for ${beside.url}`),
    });
    expect(await config()).toEqual(before);
  });

  test("of each of several processes that sign in at the same time is stored", async () => {
    const { type, config } = await home();
    const names = ["a", "b", "c", "d"];
    const results = await Promise.all(
      names.map((name) => type(signIn(stack.url, name), { TOWPATH_KEY: key })),
    );
    for (const { code, output } of results) expect(code, output).toBe(0);
    expect(Object.keys((await config()).profiles).sort()).toEqual(names);
  });

  test("is not used in a folder of `towpath dev` unless it is named, and every command says so", async () => {
    const { type, folder } = await home();
    await mkdir(join(folder, ".towpath/control"), { recursive: true });
    await writeFile(join(folder, ".towpath/control/server.json"), JSON.stringify({ url: stack.url, pid: 1 }));
    await writeFile(join(folder, ".towpath/control/admin.key"), key);
    const signedIn = await type(signIn(beside.url, "two"), { TOWPATH_KEY: key });
    expect(signedIn.output).toContain(`here, commands use ${stack.url} instead`);
    const local = await type("towpath limit set dev 1");
    expect(local.output).toContain(`${stack.url} (workspace default)`);
    for (const [line, found] of [
      ["towpath whoami", stack.url],
      ["towpath whoami --profile two", beside.url],
      ["towpath doctor", `${stack.url} (from `],
      ["towpath doctor --profile two", `${beside.url} (from the profile "two"`],
    ] as const)
      expect((await type(line)).output, line).toContain(found);
    const dev = await type("towpath dev --profile two");
    expect(dev).toMatchObject({ code: 64, output: expect.stringContaining("its own control plane") });
  });

  test("in a file that others can read is a fault in `towpath doctor`", async () => {
    const { type, file } = await home();
    await type(signIn(stack.url, "one"), { TOWPATH_KEY: key });
    expect((await type("towpath doctor")).output).toMatch(/^✓ profiles +1 in /m);
    await type(`chmod 644 ${file}`);
    const { output } = await type("towpath doctor");
    expect(output).toMatch(/^✗ profiles +.*other users can read/m);
    expect(output).toContain(`chmod 600 ${file}`);
  });
});
