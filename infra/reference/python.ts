import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Page } from "./page.ts";

const PROGRAM = fileURLToPath(new URL("python_page.py", import.meta.url));

/** The page of the Python package, written by a program in Python. Null: python3 is not installed. */
export function pythonPage(): Page | null {
  const { status, stdout, stderr, error } = spawnSync("python3", ["-I", PROGRAM], { encoding: "utf8" });
  if (error !== undefined) return null;
  if (status !== 0) throw new Error(`The reference of the Python package cannot be written: ${stderr}`);
  return { path: "docs/reference/python.md", text: stdout };
}
