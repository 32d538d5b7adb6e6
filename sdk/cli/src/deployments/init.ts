import { basename, join, relative, resolve } from "node:path";
import { Failure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { readIfThere, writeWhole } from "../kernel/state-folder.ts";
import { extendIgnored, extendManifest } from "./extend.ts";
import { originFor } from "./own-origin.ts";
import { projectFiles } from "./starter-files.ts";

/** A name for the project from its folder. */
function nameOf(root: string): string {
  const name = basename(root)
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]+/g, "-")
    .replace(/^[-_]+|-+$/g, "")
    .slice(0, 63);
  return name === "" ? "flows" : name;
}

/** One file to write. `fresh`: there was none. */
interface Draft {
  readonly path: string;
  readonly text: string;
  readonly fresh: boolean;
}

/** The files to write: the starter's own, and missing entries of package.json and .gitignore. */
async function draftsOf(root: string, towpath: string): Promise<readonly Draft[]> {
  const name = nameOf(root);
  const drafts: Draft[] = [];
  for (const [path, extend] of [
    ["package.json", extendManifest],
    [".gitignore", extendIgnored],
  ] as const) {
    const present = await readIfThere(join(root, path));
    const text = extend(present, { name, path: join(root, path), towpath });
    if (text !== present) drafts.push({ path, text, fresh: present === null });
  }
  for (const [path, text] of Object.entries(projectFiles(name))) {
    if ((await readIfThere(join(root, path))) === null) drafts.push({ path, text, fresh: true });
    // A project that has its own rules for types keeps them.
    else if (path !== "tsconfig.json")
      throw new Failure(`${join(root, path)} already exists, and init overwrites nothing.`, {
        exit: "cannotWrite",
        code: "exists",
        next: ["use an empty folder: `towpath init my-flows`"],
      });
  }
  return drafts;
}

/**
 * `towpath init [DIR]`: creates a small project. Overwrites nothing; adds missing entries to an existing package.json or .gitignore.
 */
export async function init(invocation: Invocation, folder: string | undefined): Promise<void> {
  const { output, cwd } = invocation;
  const root = resolve(cwd, folder ?? ".");
  const origin = await originFor(root, import.meta.dirname);
  const drafts = await draftsOf(root, origin.specifier);
  const inside = relative(cwd, root);
  const shown = inside.startsWith("..") ? root : inside;
  for (const { path, text } of drafts) await writeWhole(join(root, path), text);
  output.data({ root, files: drafts.map(({ path }) => path) });
  for (const { path, fresh } of drafts)
    output.line(`${output.style.green(fresh ? "+" : "~")} ${join(shown, path)}`);
  const enter = root === cwd ? "" : `cd ${shown} && `;
  if (origin.before !== null)
    output.next(`\`${origin.before}\` builds the package that package.json refers to`);
  output.next(`\`${enter}npm install\` installs its packages`);
  output.next("`node flows/hello.ts name=Ada` runs your first flow without a server");
  output.next(
    "`towpath dev --run hello` starts a control plane and a worker on this machine, and runs the flow there",
  );
}
