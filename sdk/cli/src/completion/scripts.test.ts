import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { towpath } from "../commands.ts";
import { folderWith } from "../fixture.ts";
import { completionScript, SHELLS } from "./scripts.ts";

const root = await towpath(async () => undefined);

/** How each shell is asked what it offers for the last of these words. One word on each line. */
const ASK: Record<(typeof SHELLS)[number], (script: string, words: readonly string[]) => string> = {
  bash: (script, words) =>
    `source '${script}'; COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}; _towpath; printf '%s\\n' "\${COMPREPLY[@]}"`,
  zsh: (script, words) =>
    `compdef() { :; }; source '${script}'; _describe() { printf '%s\\n' "\${offered[@]%%:*}"; }; words=(${words.map((word) => `'${word}'`).join(" ")}); CURRENT=${words.length}; _towpath`,
  fish: (script, words) => `source '${script}'; complete -C '${words.join(" ")}'`,
};

const isInstalled = (shell: string) => spawnSync(shell, ["--version"]).status === 0;

async function offered(shell: (typeof SHELLS)[number], ...words: readonly string[]): Promise<string[]> {
  await using folder = await folderWith({ script: completionScript(root, shell) });
  const ask = ASK[shell](join(folder.root, "script"), ["towpath", ...words]);
  const { stdout, stderr } = spawnSync(shell, ["-c", ask], { encoding: "utf8" });
  expect(stderr).toBe("");
  return stdout.split("\n").map((line) => line.split("\t", 1)[0] ?? "");
}

describe.each(SHELLS)("in %s", (shell) => {
  describe.skipIf(!isInstalled(shell))("where it is installed", () => {
    test("commands are completed at each level, hidden options at none", async () => {
      expect(await offered(shell, "")).toEqual(expect.arrayContaining(["runs", "deploy", "completion"]));
      const runs = await offered(shell, "runs", "");
      expect(runs).toEqual(expect.arrayContaining(["ls", "show", "cancel"]));
      expect(runs).not.toContain("deploy");
    });

    test("options of the command and of all commands are completed", async () => {
      const options = await offered(shell, "runs", "ls", "-d", "flights", "--");
      expect(options).toEqual(expect.arrayContaining(["--tag", "--since", "--json"]));
      expect(options).not.toContain("--cron");
      expect(await offered(shell, "deploy", "--")).not.toContain("--when-told");
    });

    test("values of an option are completed if they are known", async () => {
      expect(await offered(shell, "limit", "set", "--kind", "")).toEqual(
        expect.arrayContaining(["named", "deployment", "pool", "queue", "tag"]),
      );
    });
  });
});
