import { basename, join, relative, resolve } from "node:path";
import { shellWord } from "@towpath/contract";
import { givenPython } from "../config.ts";
import { Failure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { readIfThere, writeWhole } from "../kernel/state-folder.ts";
import { extendIgnored, extendManifest, withIgnored } from "./extend.ts";
import { originFor } from "./own-origin.ts";
import { CONFIG_FILES } from "./python/config-file.ts";
import { pythonFor } from "./python/python-for.ts";
import { PYTHON_IGNORED, pythonFiles, pythonManifest } from "./python/starter.ts";
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

/** The files of a Python project to write. An existing pyproject.toml stays as it is. */
async function pythonDrafts(root: string): Promise<readonly Draft[]> {
  const name = nameOf(root);
  const ignored = await readIfThere(join(root, ".gitignore"));
  const text = withIgnored(ignored, PYTHON_IGNORED);
  const drafts: Draft[] = text === ignored ? [] : [{ path: ".gitignore", text, fresh: ignored === null }];
  if ((await readIfThere(join(root, CONFIG_FILES.data))) === null)
    drafts.push({ path: CONFIG_FILES.data, text: pythonManifest(name), fresh: true });
  for (const [path, content] of Object.entries(pythonFiles(name))) {
    if ((await readIfThere(join(root, path))) !== null) throw exists(join(root, path), "--python ");
    drafts.push({ path, text: content, fresh: true });
  }
  return drafts;
}

function exists(path: string, option = ""): Failure {
  return new Failure(`${path} already exists, and init overwrites nothing.`, {
    exit: "cannotWrite",
    code: "exists",
    next: [`use an empty folder: \`towpath init ${option}my-flows\``],
  });
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
    else if (path !== "tsconfig.json") throw exists(join(root, path));
  }
  return drafts;
}

/** Writes the files and lists them. @returns What stands before a command that runs in the project's folder. */
async function writeDrafts(
  { output, cwd }: Invocation,
  { root, drafts }: { root: string; drafts: readonly Draft[] },
): Promise<string> {
  const inside = relative(cwd, root);
  const shown = inside.startsWith("..") ? root : inside;
  for (const { path, text } of drafts) await writeWhole(join(root, path), text);
  output.data({ root, files: drafts.map(({ path }) => path) });
  for (const { path, fresh } of drafts)
    output.line(`${output.style.green(fresh ? "+" : "~")} ${join(shown, path)}`);
  return root === cwd ? "" : `cd ${shown} && `;
}

/** `towpath init --python [DIR]`: creates a small project in Python. Overwrites nothing; adds missing entries to a .gitignore. */
export async function initPython(invocation: Invocation, folder: string | undefined): Promise<void> {
  const { output, cwd } = invocation;
  const root = resolve(cwd, folder ?? ".");
  const drafts = await pythonDrafts(root);
  const enter = await writeDrafts(invocation, { root, drafts });
  if (!drafts.some(({ path }) => path === CONFIG_FILES.data))
    output.next("add `towpath` to the dependencies in pyproject.toml");
  tellFirstSteps(invocation, { root, enter });
}

/** The first commands in a new Python project. One that has no environment uses the Python of this command, if it was installed by pip. */
function tellFirstSteps({ output }: Invocation, { root, enter }: { root: string; enter: string }): void {
  const isThere = givenPython() !== undefined;
  const python = isThere ? shellWord(pythonFor(root).path) : ".venv/bin/python";
  const first = `${python} -m flows.hello name=Ada`;
  if (!isThere)
    output.next(`\`${enter}python3 -m venv .venv && .venv/bin/pip install towpath\` creates its environment`);
  output.next(`\`${isThere ? enter : ""}${first}\` runs your first flow without a server`);
  output.next(`\`${python} -m unittest tests/test_hello.py\` tests it`);
  output.next(
    "`towpath dev --run hello` starts a control plane and a worker on this machine, and runs the flow there",
  );
}

/**
 * `towpath init [DIR]`: creates a small project. Overwrites nothing; adds missing entries to an existing package.json or .gitignore.
 */
export async function init(invocation: Invocation, folder: string | undefined): Promise<void> {
  const { output, cwd } = invocation;
  const root = resolve(cwd, folder ?? ".");
  const origin = await originFor(root, import.meta.dirname);
  const drafts = await draftsOf(root, origin.specifier);
  const enter = await writeDrafts(invocation, { root, drafts });
  if (origin.before !== null)
    output.next(`\`${origin.before}\` builds the package that package.json refers to`);
  output.next(`\`${enter}npm install\` installs its packages`);
  output.next("`node flows/hello.ts name=Ada` runs your first flow without a server");
  output.next(
    "`towpath dev --run hello` starts a control plane and a worker on this machine, and runs the flow there",
  );
}
