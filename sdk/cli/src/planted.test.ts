import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { describe, expect, test } from "vitest";
import { towpath } from "./commands.ts";
import { folderWith } from "./fixture.ts";
import { type Planting, servePlanted } from "./planted.fixture.ts";
import { carrier } from "./program.ts";

/** Commands that ask no control plane by themselves (or not without a project or a key), or start programs of ours. */
const APART: readonly string[] = [
  "init",
  "dev",
  "deploy",
  "deployments sign",
  "ledger verify",
  "ledger merge",
  "key signing create",
  "key signing show",
  "key signing rotate",
  "key signing revoke",
  "workspace new-key",
  "workspace add-key",
  "workspace seal",
  "login",
  "profiles ls",
  "profiles use",
  "profiles rm",
  "worker start",
  "server start",
  "wire",
  "store prune",
  "chaos",
  "chaos-attempt",
  "demo seed",
  "completion",
  "view",
  "attack",
];
/** What a command needs beside its arguments. */
const NEEDED: Record<string, readonly string[]> = {
  "backfill run": ["--from", "2026-01-01", "--to", "2026-01-02"],
  "deployments diff": ["1", "2"],
  "limit set": ["2"],
  "runs cancel": ["--deployment", "local", "--yes"],
  "schedule set": ["--cron", "0 3 * * *"],
};
const ID = "0193a0b1-7c00-7000-8000-000000000001";
/** Arguments that name a thing by its id. */
const BY_ID = /run|^id$|before|after|backfill/;
/** What a terminal obeys, but for line breaks and tabs. */
const OBEYED = /[^\P{Cc}\n\t]|[\u2028-\u202e\u2066-\u2069]/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes begin with the escape character.
const OWN_COLOURS = /\u001b\[(0|1|2|22|31|32|33|36|39)m/g;

/** Commands that say in their own words that something was refused. */
const OWN_WORDS: readonly string[] = ["doctor", "key revoke"];

interface Leaf {
  readonly words: readonly string[];
  readonly command: CommandUnknownOpts;
}

function leavesOf(command: CommandUnknownOpts, words: readonly string[] = []): Leaf[] {
  const own = command.commands.length === 0 ? [{ words, command }] : [];
  return [...own, ...command.commands.flatMap((child) => leavesOf(child, [...words, child.name()]))];
}

const ALL = leavesOf((await towpath(async () => undefined)) as unknown as CommandUnknownOpts);

/** Arguments for a command: ids, numbers and states where it asks for them, else a name. */
function argumentsOf({ command, words }: Leaf): string[] {
  const text = (name: string) => (BY_ID.test(name) ? ID : name === "version" ? "1" : "local");
  const given = command.registeredArguments.filter((one) => one.required).map((one) => text(one.name()));
  return [...given, ...(NEEDED[words.join(" ")] ?? [])];
}

/** Carries a command out in this process, on a terminal. @returns What it printed, and how often it asked. */
async function carryOut(leaf: Leaf, args: { plane: Planting; json: boolean }) {
  await using folder = await folderWith();
  await using plane = await servePlanted(args.plane);
  let printed = "";
  const write = (text: string) => {
    printed += text;
  };
  const streams = { stdout: { write, isTTY: true, columns: 200 }, stderr: { write } };
  const connection = ["--url", plane.url, "--key", "twp_api_x", "--state", folder.root];
  const line = [...leaf.words, ...argumentsOf(leaf), ...connection, ...(args.json ? ["--json"] : [])];
  const root = await towpath(carrier(streams, () => undefined));
  await root.exitOverride().parseAsync(["node", "towpath", ...line]);
  return { printed, asked: plane.asked() };
}

const COMMANDS = ALL.map((leaf) => ({ leaf, name: leaf.words.join(" ") }));

/** What answers hold: planted data, with each of several alternatives in turn, or planted problems. */
const PLANES: readonly Planting[] = [{ turn: 0 }, { turn: 1 }, { turn: 2 }, "problems"];

describe.each(COMMANDS.filter(({ name }) => !APART.includes(name)))("towpath $name", ({ leaf }) => {
  test("prints no control character of an answer", async () => {
    for (const plane of PLANES) {
      for (const json of [false, true]) {
        const { printed, asked } = await carryOut(leaf, { plane, json });
        expect(asked).toBeGreaterThan(0);
        expect(printed.replaceAll(OWN_COLOURS, "")).not.toMatch(OBEYED);
        if (plane === "problems" && !OWN_WORDS.includes(leaf.words.join(" ")))
          expect(printed).toContain("planted");
      }
    }
  });
});

test("the commands in the list of exceptions exist", () => {
  expect(COMMANDS.map(({ name }) => name)).toEqual(expect.arrayContaining([...APART]));
});
