import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { folderWith } from "../fixture.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

/** Runs the command in a folder of a person, with a folder for temporary files that must be empty afterwards. */
export async function attack(cwd: string, ...args: string[]) {
  await using temporary = await folderWith();
  const child = spawn(process.execPath, [MAIN, "attack", ...args], {
    cwd,
    env: { PATH: process.env.PATH, TMPDIR: temporary.root, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const hear = (chunk: Buffer) => {
    output += chunk.toString();
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  const [code]: unknown[] = await once(child, "close");
  expect(await readdir(temporary.root)).toEqual([]);
  return { code, output };
}
