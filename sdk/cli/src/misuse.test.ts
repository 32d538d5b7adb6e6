import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { EXIT } from "./failure.ts";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));

function typed(...args: string[]) {
  const { status, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });
  return { status, lines: stderr.trimEnd().split("\n") };
}

describe("a command line that makes no sense", () => {
  test.each([
    [["stauts"], "✗ unknown command 'stauts'.", "→ `towpath --help` lists the commands"],
    [["runs", "lst"], "✗ unknown command 'lst'.", "→ `towpath runs --help` lists the commands"],
    [
      ["why"],
      "✗ missing required argument 'run'.",
      "→ usage: `towpath why [options] <run>`; --help shows more",
    ],
    [
      ["run", "x", "--priority", "high"],
      "✗ option '--priority <n>' argument 'high' is invalid. Give a whole number.",
      "→ usage: `towpath run [options] <name>`; --help shows more",
    ],
  ])("%j has another exit code than a failed run, and the message shows the usage", (args, first, last) => {
    const { status, lines } = typed(...args);
    expect(status).toBe(EXIT.usage);
    expect(lines[0]).toBe(first);
    expect(lines.at(-1)).toBe(last);
  });

  test("is answered with the most similar command", () => {
    expect(typed("runs", "lst").lines).toContain("→ Did you mean `ls`?");
    expect(typed("runs", "ls", "--deploymnet", "x").lines).toContain("→ Did you mean `--deployment`?");
    expect(typed("deploys").lines).toContain("→ Did you mean `deploy` or `deployments`?");
  });

  test("with a parameter that has no -p before it says so", () => {
    const advice = "→ Write -p before each parameter: `-p key=value`.";
    expect(typed("run", "train", "epochs=3").lines).toContain(advice);
    expect(typed("run", "train", "epochs").lines).not.toContain(advice);
    expect(typed("why", "RUN", "epochs=3").lines).not.toContain(advice);
  });

  test("is answered without a command if none is similar", () => {
    expect(typed("bogus").lines).toEqual([
      "✗ unknown command 'bogus'.",
      "→ `towpath --help` lists the commands",
    ]);
  });
});
