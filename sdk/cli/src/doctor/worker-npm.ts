import { delimiter, dirname } from "node:path";
import { z } from "zod";
import { networkFetch, reachFault } from "../kernel/network.ts";
import { type SecretGround, SecretSource, secretValue } from "../worker/secret-values.ts";
import { bad, type Check, checkFolder, good } from "./checks.ts";
import { printed } from "./worker-python.ts";

/** How long a registry may take, milliseconds. */
const PROBE_MS = 10_000;

/** The npm registry of a worker's configuration. */
export const WorkerNpm = z.looseObject({
  registry: z.string(),
  password: SecretSource.optional(),
  token: SecretSource.optional(),
  cache: z.string().optional(),
});

type Ground = SecretGround & { readonly at: (path: string) => string };

async function checkRegistry(ground: Ground, npm: z.output<typeof WorkerNpm>): Promise<Check> {
  const title = "npm registry";
  const { registry, token, password } = npm;
  for (const [field, source] of Object.entries({ token, password })) {
    const found = source && (await secretValue(ground, source));
    if (found !== undefined && "fault" in found)
      return bad(title, `its ${field}: ${found.fault}`, `correct npm.${field}`);
  }
  const { environment } = ground;
  try {
    // Any answer shows that it can be reached.
    await networkFetch(environment)(registry, { method: "HEAD", signal: AbortSignal.timeout(PROBE_MS) });
    return good(title, registry);
  } catch (error) {
    const fault = reachFault(registry, { error, environment });
    const what = fault?.what ?? "it does not answer";
    return bad(title, `${registry}: ${what}`, fault?.fix ?? "check the address and the network");
  }
}

/** Checks npm and where the packages of flows come from. Empty if the worker installs none. */
export async function checkNpm(
  ground: Ground,
  npm: z.output<typeof WorkerNpm> | undefined,
): Promise<Check[]> {
  if (npm === undefined) return [];
  const PATH = [dirname(process.execPath), ground.environment.PATH ?? ""].join(delimiter);
  const version = await printed(["npm", "--version"], { ...ground.environment, PATH });
  return [
    version === null
      ? bad("npm", "there is no npm on the worker's PATH", "install npm on the worker's machine")
      : good("npm", version),
    npm.cache === undefined
      ? await checkRegistry(ground, npm)
      : await checkFolder("npm cache", ground.at(npm.cache)),
  ];
}
