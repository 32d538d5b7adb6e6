import { basename, join, relative, resolve } from "node:path";
import { Failure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { readIfThere, writeWhole } from "../kernel/state-folder.ts";
import { projectFiles } from "./starter-files.ts";

/** A name for the project from its folder's. */
function nameOf(root: string): string {
  const name = basename(root)
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]+/g, "-")
    .replace(/^[-_]+|-+$/g, "")
    .slice(0, 63);
  return name === "" ? "flows" : name;
}

/** `towpath init [DIR]`: a small project. Overwrites nothing. */
export async function init(invocation: Invocation, folder: string | undefined): Promise<void> {
  const { output, cwd } = invocation;
  const root = resolve(cwd, folder ?? ".");
  const files = Object.entries(projectFiles(nameOf(root)));
  for (const [path] of files) {
    if ((await readIfThere(join(root, path))) === null) continue;
    throw new Failure(`${join(root, path)} exists; init overwrites nothing.`, {
      exit: "cannotWrite",
      code: "exists",
      next: ["give an empty folder: `towpath init my-flows`"],
    });
  }
  for (const [path, text] of files) await writeWhole(join(root, path), text);
  output.data({ root, files: files.map(([path]) => path) });
  for (const [path] of files) output.line(`${output.style.green("+")} ${join(relative(cwd, root), path)}`);
  if (root !== cwd) output.next(`\`cd ${relative(cwd, root)}\``);
  output.next("`towpath dev --run hello` starts everything on this machine and runs your first flow");
}
