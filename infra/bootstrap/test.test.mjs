import { cp, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runQuietly } from "./child.mjs";

let root;

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "towpath-again-")));
  await cp(import.meta.dirname, join(root, "infra", "bootstrap"), { recursive: true });
  await symlink(resolve(import.meta.dirname, "../../node_modules"), join(root, "node_modules"));
  await writeFile(
    join(root, "vitest.config.mjs"),
    `export default { test: { include: ["cases/*.test.mjs"], pool: "forks" } };`,
  );
  await mkdir(join(root, "cases"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const FAIL = "expect(1).toBe(2)";

/** A test file. `first` runs only the first time, `always` every time. */
function addCase(name, { first = "", always = "" }) {
  const text = `
    import { existsSync, writeFileSync } from "node:fs";
    import { expect, test } from "vitest";
    test("case", () => {
      const mark = ${JSON.stringify(join(root, name))};
      const isFirst = !existsSync(mark);
      writeFileSync(mark, "");
      if (isFirst) { ${first} }
      ${always}
      expect(1).toBe(1);
    });`;
  return writeFile(join(root, "cases", `${name}.test.mjs`), text);
}

/** Runs the checkout's tests as a command does. */
async function run({ ci }) {
  const url = JSON.stringify(join(root, "infra", "bootstrap", "test.mjs"));
  const script = `
    const { runTests } = await import(${url});
    const node = { path: process.execPath, env: process.env };
    process.exitCode = await runTests({ root: ${JSON.stringify(root)}, node, screen: { line: console.log }, args: [] });`;
  const env = { ...process.env, CI: ci ? "true" : "", NO_COLOR: "1", VITEST: undefined };
  return await runQuietly(process.execPath, ["--input-type=module", "-e", script], { cwd: root, env });
}

test("in CI a file that failed once, or whose process died, runs again and is named as unsteady", async () => {
  await addCase("steady", {});
  await addCase("fails", { first: FAIL });
  await addCase("dies", { first: `process.kill(process.pid, "SIGKILL")` });
  const { code, output } = await run({ ci: true });
  expect(code, output).toBe(0);
  expect(output).toMatch(
    /Unsteady, to be mended: .*cases\/(fails|dies)\.test\.mjs, cases\/(fails|dies)\.test\.mjs/,
  );
  expect(output.split("cases/steady.test.mjs")).toHaveLength(2);
});

test("a file that fails twice fails CI", async () => {
  await addCase("fails", { always: FAIL });
  const { code, output } = await run({ ci: true });
  expect(code, output).toBe(1);
  expect(output).not.toContain("Unsteady");
});

test("an error that belongs to no failed file fails CI", async () => {
  await addCase("rejects", { always: `Promise.reject(new Error("nobody waits for this"))` });
  const { code, output } = await run({ ci: true });
  expect(code, output).toBe(1);
  expect(output).not.toContain("Unsteady");
});

test("elsewhere no file runs again", async () => {
  await addCase("fails", { first: FAIL });
  const { code, output } = await run({ ci: false });
  expect(code, output).toBe(1);
  expect(output).not.toContain("runs them again");
});

/** A program in a folder of the checkout. */
async function addProgram(path, text) {
  await mkdir(join(root, path, ".."), { recursive: true });
  await writeFile(join(root, path), text, { mode: 0o755 });
}

test.each([
  ["npm test", "runChecks", ["one.test.ts"]],
  ["npm run test:long", "runLongTests", []],
])("in a fresh checkout `%s` installs the S3 server before the tests", async (_, name, args) => {
  await rm(join(root, "node_modules"));
  await addProgram("node_modules/.bin/turbo", "#!/bin/sh\n");
  await addProgram(
    "node_modules/vitest/vitest.mjs",
    `import { readFileSync } from "node:fs";
    console.log("found " + readFileSync("node_modules/.cache/towpath-tests/versitygw", "utf8"));`,
  );
  await addProgram("bin/go", `#!/bin/sh\n[ "$1" != install ] || printf %s "$2" > "$GOBIN/versitygw"\n`);
  expect((await runQuietly("git", ["init", root])).code).toBe(0);
  const url = JSON.stringify(join(root, "infra", "bootstrap", "test.mjs"));
  const script = `
    const { ${name}, S3_SERVER } = await import(${url});
    const node = { path: process.execPath, env: process.env };
    const screen = { line: console.log, step: (_, act) => act() };
    console.log("wants " + S3_SERVER.from);
    process.exitCode = await ${name}({ root: ${JSON.stringify(root)}, node, screen, args: ${JSON.stringify(args)} });`;
  const PATH = [join(root, "bin"), process.env.PATH].join(delimiter);
  const env = { ...process.env, PATH, CI: "", VITEST: undefined };
  const { code, output } = await runQuietly(process.execPath, ["--input-type=module", "-e", script], {
    cwd: root,
    env,
  });
  expect(code, output).toBe(0);
  const [, wanted] = /wants (\S+)/.exec(output) ?? [];
  expect(output).toContain(`found ${wanted}`);
});
