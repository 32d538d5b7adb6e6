import { existsSync } from "node:fs";
import { join } from "node:path";
import { computeOf, STAGE_FILE } from "towpath/config";
import { Failure } from "../failure.ts";
import { bundleModules } from "./bundle.ts";
import { type CodeFile, type CodeTree, codeTree } from "./code-tree.ts";
import { leftOutText } from "./left-out.ts";
import type { Project } from "./project.ts";
import { readProjectFiles } from "./project-files.ts";
import type { Sources } from "./reach.ts";
import { type NameUses, nameUses } from "./tasks/name-uses.ts";
import { readOutlines } from "./tasks/outlines.ts";
import { type RemoteUses, remoteTasks } from "./tasks/remote-tasks.ts";
import { taskVersions } from "./tasks/task-versions.ts";

/** A project's code, ready to be pushed. */
export interface ProjectCode {
  readonly tree: CodeTree;
  /** The path of each flow's source module in the tree. */
  readonly modules: ReadonlyMap<string, string>;
  /** The versions of the tasks that each flow's source module reaches. */
  readonly tasks: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** The remote tasks of each flow's source module. */
  readonly remote: ReadonlyMap<string, RemoteUses>;
  /** The secrets and resources that each flow's source module reaches. */
  readonly names: ReadonlyMap<string, NameUses>;
  /** What the code that each deployment may use is computed from. */
  readonly sources: Sources;
  /** Warnings for the author. */
  readonly warnings: readonly string[];
}

/** The stage's data for the flows. It travels with the code, because the control plane does not need it. */
function stageFiles({ stage }: Project): CodeFile[] {
  if (stage === null) return [];
  const text = `${JSON.stringify({ stage: stage.name, resources: stage.resources, pools: stage.pools }, null, 2)}\n`;
  return [{ path: STAGE_FILE, bytes: new TextEncoder().encode(text), executable: false }];
}

/** The remote tasks of a Python flow. */
export function remoteTasksOfPython({ remoteTasks: tasks }: Project["python"][number]): RemoteUses {
  return new Map(
    Object.entries(tasks).map(([task, { pools, isOpen, compute }]) => [
      task,
      { pools: new Set(pools), isOpen, compute: compute && computeOf(`task "${task}"`, compute) },
    ]),
  );
}

/** The project's files that each module of a Python flow imports. Null: it may use any. */
function pythonReach({ deployments, python }: Project): Sources["python"] {
  const modules = deployments.flatMap(({ entry }) => (entry.kind === "python" ? [entry.module] : []));
  return new Map(
    modules.map((module) => [module, python.find((flow) => flow.module === module)?.files ?? null]),
  );
}

/**
 * Checks that the code has the modules of the Python flows, and warns of modules that they import and the code has not.
 * @throws Failure that names the missing module of a flow.
 */
function checkPythonFiles(project: Project, files: readonly CodeFile[]): string[] {
  const there = new Set(files.map(({ path }) => path));
  const [missing] = [...pythonReach(project).keys()].filter((module) => !there.has(module));
  if (missing !== undefined)
    throw new Failure(`${missing} is not part of the code.`, {
      exit: "configuration",
      code: "module-not-in-code",
      next: [
        existsSync(join(project.root, missing))
          ? `add it to \`files\` in ${project.configFile}, and check .gitignore and .towpathignore`
          : `correct the path in ${project.configFile}`,
      ],
    });
  const left = project.python.flatMap(({ module, files: reached }) =>
    (reached ?? []).filter((path) => !there.has(path)).map((path) => ({ module, path })),
  );
  return left.map(
    ({ module, path }) =>
      `${module} imports ${path}, which is not part of the code. Add it to \`files\` in ${project.configFile}, or check .gitignore.`,
  );
}

/** Bundles a project's flows and adds its other files. */
export async function buildCode(
  project: Project,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<ProjectCode> {
  const flows = project.deployments.flatMap(({ entry }) => (entry.kind === "flow" ? [entry.module] : []));
  const modules = [...new Set(flows)];
  const isRemote = new Map(project.python.map((one) => [one.module, remoteTasksOfPython(one)]));
  const [bundle, { files, links, data, warnings: fileWarnings }] = await Promise.all([
    bundleModules(project.root, modules, project.packages?.names),
    readProjectFiles(project.root, { patterns: project.files, environment }),
  ]);
  const versions = await Promise.all(modules.map((module) => versionsOf(project.root, module)));
  const warnings = [
    ...versions.flatMap(({ warning }) => warning ?? []),
    ...checkPythonFiles(project, files),
    ...links.map((path) => `${path} is a symbolic link and was left out of the code`),
    ...leftOutText(data, project.configFile),
    ...fileWarnings,
    ...bundle.natives.map(
      (name) =>
        `${name} contains native code, which cannot be bundled, so the flow will not find it; list the package under \`npm.packages\` in ${project.configFile}, and workers install it`,
    ),
  ];
  const stage = stageFiles(project);
  const ofPython = project.environment === null ? [] : [project.environment.file];
  const locked = [...ofPython, ...(project.packages?.files ?? [])];
  const tree = codeTree([...files, ...bundle.files, ...stage, ...locked]);
  const reached = new Map(versions.map((one) => [one.module, one.modules]));
  const sources = {
    files: [...files, ...stage],
    modules: reached,
    configFile: project.configFile,
    python: pythonReach(project),
  };
  const inPython = project.python.map((one) => [one.module, one.tasks] as const);
  const tasks = new Map([...versions.map((one) => [one.module, one.tasks] as const), ...inPython]);
  const remote = new Map([...versions.map((one) => [one.module, one.remote] as const), ...isRemote]);
  const names = new Map(versions.map((one) => [one.module, one.names]));
  return { tree, modules: bundle.modules, tasks, remote, names, sources, warnings };
}

/** If a flow's code cannot be analysed, it is deployed all the same. Then any change counts as a change of all its tasks. */
async function versionsOf(root: string, module: string) {
  try {
    const outlines = await readOutlines(root, module);
    const names = nameUses(outlines);
    const { modules } = outlines;
    return {
      module,
      modules,
      tasks: taskVersions(outlines),
      remote: remoteTasks(outlines),
      names,
      warning: null,
    };
  } catch (failure) {
    if (failure instanceof Failure) throw failure;
    const [reason = ""] = String(failure instanceof Error ? failure.message : failure).split("\n");
    const warning = `${module}: the code of its tasks cannot be analysed, so a rerun reuses results only if no code has changed (${reason})`;
    const names = { secrets: new Map(), resources: new Set<string>() };
    return { module, modules: null, tasks: {}, remote: new Map(), names, warning };
  }
}
