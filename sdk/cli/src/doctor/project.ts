import type { Client } from "@towpath/client";
import { remoteTasksOfPython } from "../deployments/code.ts";
import { withoutPassword } from "../deployments/git.ts";
import { loadProject } from "../deployments/load-project.ts";
import { type Project, type Registry, wantingOf } from "../deployments/project.ts";
import { findConfig } from "../deployments/python/config-file.ts";
import { describePython } from "../deployments/python/describe.ts";
import { pythonFor } from "../deployments/python/python-for.ts";
import { findLacks, type ReadyGround } from "../deployments/readiness.ts";
import { loggedIn, loginOf } from "../deployments/registry-login.ts";
import { remoteTasksOf } from "../deployments/spec.ts";
import { nameUses } from "../deployments/tasks/name-uses.ts";
import { readOutlines } from "../deployments/tasks/outlines.ts";
import { type RemoteUses, remoteTasks } from "../deployments/tasks/remote-tasks.ts";
import { toFailure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import type { StateFolder } from "../kernel/state-folder.ts";
import { findPool, misfits } from "../pools/find.ts";
import { VERSION } from "../version.ts";
import { gitFault } from "./ask-git.ts";
import { registryTroubleOf } from "./ask-registry.ts";
import { bad, type Check, checkFolder, good } from "./checks.ts";
import { checkOneStore, UNNAMED_STORE } from "./one-store.ts";
import { printed } from "./worker-python.ts";

const TITLE = "code registry";

/**
 * Whether the project in this folder loads, its pools have workers, and its code registry can be reached. Empty in a folder
 * without a project.
 * @param args.client Null if no control plane can be reached.
 */
export async function checkProject(
  invocation: Invocation,
  args: { folder: StateFolder; client: Client | null },
): Promise<Check[]> {
  const { cwd } = invocation;
  const { folder, client } = args;
  try {
    if ((await findConfig(cwd)) === null) return [];
    const project = await loadProject(cwd, { folder });
    const names = project.deployments.map(({ settings }) => settings.deployment).join(", ");
    const loaded = good("project", `${project.name}: ${names}`);
    const uses = client ? await placesOf(project) : [];
    const pools = client
      ? [
          await checkProjectPools(client, { deployments: project.deployments, places: uses }),
          ...(await checkOneStore(client, uses)),
          ...(await checkReadiness(client, project, { cwd, folder })),
        ]
      : [];
    return [
      loaded,
      ...(await checkPython(project, invocation.config.environment)),
      ...pools,
      await checkRegistry(invocation, project.registry),
    ];
  } catch (error) {
    const failure = toFailure(error);
    return [bad("project", failure.message, failure.next.join("; "))];
  }
}

type Environment = Invocation["config"]["environment"];

const PACKAGE_VERSION = "import importlib.metadata as found; print(found.version('towpath'))";

/** The release of the package `towpath` that a Python has, as the end of a sentence. Empty if it has none: the command lends its own. */
async function packageIn(path: string, environment: Environment): Promise<string> {
  const version = await printed([path, "-I", "-c", PACKAGE_VERSION], environment);
  if (version === null) return "";
  return version === VERSION
    ? ` with towpath ${version}`
    : ` with towpath ${version}, and this command is ${VERSION}`;
}

/** The Python that imports the project's flows. Empty for a project without any. */
async function checkPython({ root, deployments }: Project, environment: Environment): Promise<Check[]> {
  if (!deployments.some(({ entry }) => entry.kind === "python")) return [];
  const { path, from } = pythonFor(root);
  const { python } = await describePython(root, { config: null, flows: [], imports: false });
  return [good("python", `${python}: ${path} (${from})${await packageIn(path, environment)}`)];
}

/** The remote tasks of each module with flows in Python. */
function remoteOfPython({ python }: Project): (readonly [string, RemoteUses])[] {
  return python.map((flow) => [flow.module, remoteTasksOfPython(flow)]);
}

/** What is found in the code of the flows, as deploying finds it. */
async function readNames(project: Project): Promise<ReadyGround["code"]> {
  const flows = project.deployments.flatMap(({ entry }) => (entry.kind === "flow" ? [entry.module] : []));
  const read = await Promise.all(
    [...new Set(flows)].map(async (module) => {
      const outlines = await readOutlines(project.root, module);
      return { module, names: nameUses(outlines), remote: remoteTasks(outlines) };
    }),
  );
  return {
    names: new Map(read.map(({ module, names }) => [module, names])),
    remote: new Map([
      ...read.map(({ module, remote }) => [module, remote] as const),
      ...remoteOfPython(project),
    ]),
    tasks: new Map(),
  };
}

/** What deploying would warn of, for each stage. Empty pools of the project itself have a check of their own. */
async function checkReadiness(
  client: Client,
  project: Project,
  { cwd, folder }: { cwd: string; folder: StateFolder },
): Promise<Check[]> {
  const code = await readNames(project);
  const checks: Check[] = [];
  for (const name of project.stageNames.length === 0 ? [undefined] : project.stageNames) {
    const { deployments, registry, stage, configFile } = await loadProject(cwd, { folder, stage: name });
    const found = await findLacks(client, {
      deployments,
      ground: { stage, registry, code, isDev: false, configFile },
    });
    const lacks = found.filter(({ about }) => name !== undefined || about !== "pool");
    const title = name === undefined ? "secrets" : `stage ${name}`;
    if (lacks.length === 0) checks.push(good(title, "all have a value on the workers online"));
    checks.push(
      ...lacks.map(({ what, next }) => bad(title, what.replace(/\.$/, ""), next.replace(/\.$/, ""))),
    );
  }
  return checks;
}

/** The pools of one deployment: its own and those of its remote tasks. */
interface Places {
  readonly pools: readonly string[];
  /** The name of its runs' store, as workers report it. */
  readonly store: string;
}

async function placesOf(project: Project): Promise<Places[]> {
  const stagePools = project.stage?.pools ?? {};
  const ofPython = remoteOfPython(project);
  return await Promise.all(
    project.deployments.map(async (deployment) => {
      const { entry, settings } = deployment;
      const module = entry.kind === "flow" ? entry.module : null;
      const own =
        module === null ? [] : [[module, remoteTasks(await readOutlines(project.root, module))] as const];
      const remote = remoteTasksOf(deployment, {
        remote: new Map([...ofPython, ...own]),
        pools: stagePools,
      });
      const pools = [...settings.pools, ...Object.values(remote).flatMap((one) => one.pools)];
      return { pools: [...new Set(pools)], store: settings.store ?? UNNAMED_STORE };
    }),
  );
}

/** Whether each pool of a deployment or remote task exists and has an online worker that is large enough. */
async function checkProjectPools(
  client: Client,
  { deployments, places }: { deployments: Project["deployments"]; places: readonly Places[] },
): Promise<Check> {
  const title = "project pools";
  const wanted = [...new Set(places.flatMap(({ pools }) => pools))];
  for (const name of wanted) {
    const pool = await findPool(client, name).catch((thrown: unknown) => toFailure(thrown));
    if ("next" in pool) return bad(title, pool.message, pool.next.join("; "));
    if (pool.workersOnline === 0)
      return bad(
        title,
        `"${name}" has no worker online`,
        `start one with \`towpath worker start --pool ${name}\``,
      );
  }
  const [misfit] = await misfits(client, deployments.map(wantingOf));
  if (misfit !== undefined)
    return bad(
      title,
      misfit,
      "start a larger worker, or correct `compute` in the flow or the project's configuration",
    );
  return good(title, wanted.join(", "));
}

async function checkRegistry(invocation: Invocation, registry: Registry): Promise<Check> {
  if (registry.kind === "oci-layout") return checkFolder(TITLE, registry.path);
  const { environment } = invocation.config;
  try {
    if (registry.kind === "git") return await checkGitRegistry(invocation, registry);
    const asked = await loggedIn(registry, environment);
    const trouble = await registryTroubleOf(asked, { environment, push: true });
    return trouble === null ? good(TITLE, registry.url) : bad(TITLE, trouble.what, trouble.fix);
  } catch (error) {
    const failure = toFailure(error);
    return bad(TITLE, failure.message, failure.next.join("; "));
  }
}

async function checkGitRegistry(
  { config: { environment }, cwd }: Invocation,
  registry: Extract<Registry, { kind: "git" }>,
): Promise<Check> {
  const login = await loginOf(registry, environment);
  const fault = await gitFault({ url: registry.url, login, cwd, environment });
  return fault === null
    ? good(TITLE, withoutPassword(registry.url))
    : bad(
        TITLE,
        fault.what,
        fault.fix ?? "check the address, the network, HTTPS_PROXY, and the password if there is one",
      );
}
