import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { emptyPlace, isOldestPublished, oldestNode, type Place, packInto } from "./fixture.ts";

let scratch: string;
let tarball: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "towpath-tarball-"));
  tarball = await packInto(scratch);
}, 240_000);
afterAll(() => rm(scratch, { recursive: true, force: true }));

// The types do not depend on the Node version, so each is checked once.
const NODES = [
  { name: "the Node at hand", isPublished: true, find: async () => process.execPath, everyType: true },
  { name: "the oldest Node", isPublished: isOldestPublished, find: oldestNode, everyType: false },
].filter(({ isPublished }) => isPublished);

/** Node's own warnings, which the user did not ask for. */
const NOISE = /\(node:\d+\)|Warning/;

const FAULTY = `import { flow } from "towpath";
export const faulty = flow({ name: "faulty" }, async () => {
  throw new RangeError("out of bounds");
});
`;

describe.each(NODES)("in an empty folder with $name, the installed package", ({ find, everyType }) => {
  let place: Place;
  const file = (path: string) => readFile(join(place.folder, path), "utf8");
  const write = (path: string, text: string) => writeFile(join(place.folder, path), text);
  async function succeed(command: string, ...args: readonly string[]): Promise<string> {
    const { code, output } = await place.type(command, ...args);
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(output).not.toMatch(NOISE);
    return output;
  }

  beforeAll(async () => {
    place = await emptyPlace(await find());
    await place.install(tarball);
  }, 180_000);
  afterAll(() => place?.[Symbol.asyncDispose]());

  test("makes a project that depends on this release", async () => {
    const version = (await succeed("towpath", "--version")).trim();
    expect(tarball).toContain(`towpath-${version}.tgz`);
    const output = await succeed("towpath", "init", "another");
    expect(output).toContain("cd another && npm install");
    // The release is installed from a file and is in no registry, so the new project installs it from the file too.
    const { towpath } = JSON.parse(await file("another/package.json")).dependencies;
    expect(resolve(place.folder, "another", towpath.replace("file:", ""))).toBe(tarball);
    await succeed("towpath", "init");
    await place.install();
    const made = JSON.parse(await file("package.json"));
    expect(made).toMatchObject({
      type: "module",
      dependencies: { towpath: expect.stringMatching(/^file:/) },
    });
  });

  test("lets plain node run a flow", async () => {
    expect(await succeed("node", "flows/hello.ts", "name=Ada")).toContain("Hello, Ada!");
  });

  test("has types that suit both ways of resolving modules", async () => {
    const caller = `import { createClient, type Run, startRun, waitForRun } from "towpath/client";
import { deploy } from "towpath/deploy";
import { testRun } from "towpath/test";
import { hello } from "./hello.ts";
export const versions = async (): Promise<number[]> =>
  (await deploy({ stage: "prod", plan: true })).outcomes.map(({ version }) => version);
export const client = createClient({ url: "http://127.0.0.1:4200", token: "key" });
export const ended = async (): Promise<Run> => {
  const { id } = await startRun(client, { deployment: "hello", parameters: { name: "Ada" } });
  return waitForRun(client, id);
};
// @ts-expect-error a deployment's name is text
export const refused = () => startRun(client, { deployment: 1 });
export const greeting: string | undefined = (await testRun(hello, { name: "Ada" })).result?.greeting;
// @ts-expect-error a name is text
export const wrong = () => hello.run({ name: 1 });
`;
    await write("flows/caller.ts", caller);
    await succeed("tsc");
    if (!everyType) return;
    const strictest = ["--skipLibCheck", "false", "--exactOptionalPropertyTypes"];
    await succeed("tsc", ...strictest);
    await succeed("tsc", ...strictest, "--module", "preserve", "--moduleResolution", "bundler");
  });

  test("has a client that runs in plain node", async () => {
    await write(
      "flows/ask.ts",
      `import { ConnectionFailure, createClient } from "towpath/client";
const client = createClient({ url: "http://127.0.0.1:47", token: "key", retries: 0 });
await client.getMe().catch((failure) => console.log(failure instanceof ConnectionFailure, failure.systemCode));`,
    );
    expect(await succeed("node", "flows/ask.ts")).toContain("true ECONNREFUSED");
  });

  test("starts everything on this machine, runs a flow and stops", async () => {
    const output = await succeed("towpath", "dev", "--once", "--run", "hello");
    expect(output).toMatch(/Hello, world![\s\S]*completed hello@dev/);
  });

  test("deploys to a running stack, runs there, and shows errors at the author's lines", async () => {
    await using dev = place.start("towpath", "dev");
    await dev.waitFor(/Watching my-flows/, 120_000);
    expect(await succeed("towpath", "deploy", "--stage", "dev")).toMatch(/hello@dev\s+1\s+unchanged/);
    await write(
      "release.ts",
      'import { deploy } from "towpath/deploy";\nconst { outcomes } = await deploy({ stage: "dev" });\nconsole.log(outcomes[0]?.deployment, outcomes[0]?.status);\n',
    );
    expect(await succeed("node", "release.ts")).toContain("hello@dev unchanged");
    const run = await succeed("towpath", "run", "hello", "-p", "name=Ada", "--watch");
    expect(run).toMatch(/Hello, Ada![\s\S]*completed hello@dev/);
    expect(await succeed("towpath", "doctor")).not.toContain("✗");

    await write("flows/faulty.ts", FAULTY);
    const config = await file("towpath.config.ts");
    const imported = `import { faulty } from "./flows/faulty.ts";\n${config}`;
    await write(
      "towpath.config.ts",
      imported.replace("deployment(hello)", "deployment(hello), deployment(faulty)"),
    );
    await dev.waitFor(/deployed .*faulty@dev v1/);
    const failed = await place.type("towpath", "run", "faulty", "--watch");
    expect(failed.code).toBe(1);
    expect(failed.output).toMatch(/RangeError: out of bounds\n\s+at .*flows\/faulty\.ts:3:\d+/);

    dev.kill("SIGINT");
    expect(await dev.exited).toBe(0);
    for (const said of [dev.output(), await file(".towpath/control/control.log"), await workerLog()])
      expect(said).not.toMatch(NOISE);
  });

  const workerLog = () => file(".towpath/worker/worker.log");
});
