import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { GROUPS, towpath } from "./commands.ts";
import { rootCommand } from "./program.ts";

const carry = async () => undefined;

test.each(GROUPS)("the group $names declares the commands of these names, and no others", async (group) => {
  const root = rootCommand();
  (await group.load())(root, carry);
  const names = root.commands.flatMap((command) => [command.name(), ...command.aliases()]);
  expect(names).toEqual(group.names);
});

describe("the command has", () => {
  const all = GROUPS.flatMap(({ names }) => names);
  const namesFor = async (first?: string) => {
    const root = await towpath(carry, first);
    return root.commands.flatMap((command) => [command.name(), ...command.aliases()]);
  };

  test("one group for a command line that begins with one of its commands", async () => {
    expect(await namesFor("queue")).toEqual(["pool", "queue"]);
  });

  test.each([undefined, "--help", "--url", "help", "queu", "completion"])(
    "all groups for a command line that begins with %s",
    async (first) => {
      expect(await namesFor(first)).toEqual(all);
    },
  );
});

test("a command that only reads loads neither the bundler nor what pushes code", () => {
  const code = `
    import { registerHooks } from "node:module";
    const loaded = [];
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) });
    const { towpath } = await import(${JSON.stringify(new URL("./commands.ts", import.meta.url).href)});
    for (const first of ["limit", "run", "schedule", "logs", "pool"]) await towpath(async () => undefined, first);
    console.log(loaded.filter((url) => /node_modules\\/(esbuild|undici|eslint-scope)\\//.test(url)).join("\\n"));`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", code], {
    encoding: "utf8",
  });
  expect(status, stderr).toBe(0);
  expect(stdout.trim()).toBe("");
});
