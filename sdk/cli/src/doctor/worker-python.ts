import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { promisify } from "node:util";
import { shellWord } from "@towpath/contract";
import { z } from "zod";
import { givenPython } from "../config.ts";
import { networkFetch, reachFault } from "../kernel/network.ts";
import { type SecretGround, SecretSource, secretValue } from "../worker/secret-values.ts";
import { bad, type Check, good } from "./checks.ts";

const run = promisify(execFile);

/** How long a program or an index may take, milliseconds. */
const PROBE_MS = 10_000;
/** The oldest Python that flows need. */
const OLDEST_MINOR = 10;
const VERSION = "import sys; print('.'.join(map(str, sys.version_info[:3])))";

/** The Python of a worker's configuration. */
export const WorkerPython = z.object({
  interpreters: z.record(z.string(), z.string()).default({}),
  indexes: z
    .record(
      z.string(),
      z.union([
        z.looseObject({ folder: z.string() }),
        z.looseObject({ url: z.string(), password: SecretSource.optional() }),
      ]),
    )
    .default({}),
});
type Index = z.output<typeof WorkerPython>["indexes"][string];

/** Where it is checked. */
interface Ground extends SecretGround {
  /** Makes a path absolute, from the configuration's folder. */
  readonly at: (path: string) => string;
}

type Environment = Record<string, string>;

/** What a program prints. Null if it fails. */
export async function printed(
  words: readonly string[],
  environment: Ground["environment"],
): Promise<string | null> {
  const [program = "", ...args] = words;
  const options = { env: environment as Environment, timeout: PROBE_MS };
  return await run(program, args, options).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  );
}

async function checkInterpreter(ground: Ground, name: string, path: string): Promise<Check> {
  const title = `interpreter ${name}`;
  const version = await printed([path, "-I", "-c", VERSION], ground.environment);
  const minor = Number(/^3\.(\d+)\./.exec(version ?? "")?.[1]);
  if (minor >= OLDEST_MINOR) return good(title, `Python ${version}: ${path}`);
  const what = version === null ? "is no Python that can be started" : `is Python ${version}`;
  const fix = `give python.interpreters.${name} the path of Python 3.${OLDEST_MINOR} or later`;
  return bad(title, `${path} ${what}`, fix);
}

async function checkIndex(ground: Ground, name: string, index: Index): Promise<Check> {
  const title = `package index ${name}`;
  if ("folder" in index) {
    const path = ground.at(String(index.folder));
    const isFolder = await stat(path).then(
      (found) => found.isDirectory(),
      () => false,
    );
    return isFolder
      ? good(title, path)
      : bad(title, `${path} is no folder`, `create it, or correct python.indexes.${name}`);
  }
  const url = String(index.url);
  const password = index.password && (await secretValue(ground, index.password));
  if (password !== undefined && "fault" in password)
    return bad(title, `its password: ${password.fault}`, `correct python.indexes.${name}.password`);
  try {
    // Any answer shows that it can be reached. Credentials are the installer's.
    await networkFetch(ground.environment)(url, { method: "HEAD", signal: AbortSignal.timeout(PROBE_MS) });
    return good(title, url);
  } catch (error) {
    const fault = reachFault(url, { error, environment: ground.environment });
    return bad(
      title,
      `${url}: ${fault?.what ?? "it does not answer"}`,
      fault?.fix ?? "check the address and the network",
    );
  }
}

/** The paths of the interpreters by name, as the worker finds them. */
function interpretersOf(ground: Ground, python: z.output<typeof WorkerPython>): Record<string, string> {
  const given = givenPython(ground.environment);
  const named = Object.entries(python.interpreters).map(([name, path]) => [name, ground.at(path)] as const);
  return { ...(given !== undefined && { default: given }), ...Object.fromEntries(named) };
}

/** What builds environments: uv, else pip. Empty if the worker builds none. */
async function checkInstaller(ground: Ground, python: z.output<typeof WorkerPython>): Promise<Check[]> {
  if (Object.keys(python.indexes).length === 0) return [];
  const uv = await printed(["uv", "--version"], ground.environment);
  if (uv !== null) return [good("installer", uv)];
  const program = interpretersOf(ground, python).default ?? "python3";
  const pip = await printed([program, "-m", "pip", "--version"], ground.environment);
  return [
    pip === null
      ? bad(
          "installer",
          "there is no uv, and no pip",
          `install uv, or run \`${shellWord(program)} -m ensurepip\``,
        )
      : good("installer", pip.split(" from ")[0] ?? pip),
  ];
}

/** Checks the interpreters and package indexes of a worker's configuration. Empty if it has none. */
export async function checkPython(ground: Ground, python: z.output<typeof WorkerPython>): Promise<Check[]> {
  const interpreters = Object.entries(interpretersOf(ground, python)).map(([name, path]) =>
    checkInterpreter(ground, name, path),
  );
  const indexes = Object.entries(python.indexes).map(([name, index]) => checkIndex(ground, name, index));
  const installer = await checkInstaller(ground, python);
  return [...(await Promise.all([...interpreters, ...indexes])), ...installer];
}
