import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "smol-toml";
import { z } from "zod";
import { readIfThere } from "../kernel/state-folder.ts";

const PUBLIC = "https://pypi.org/simple";
/** The name of the index of a lock that names none. */
const DEFAULT = "default";

/** A package index, as a worker's configuration has it. */
export type WorkerIndex =
  | { readonly url: string; readonly username?: string; readonly password?: { readonly env: string } }
  | { readonly folder: string };

type Environment = Readonly<Record<string, string | undefined>>;

const UvIndex = z.object({
  name: z.string().optional(),
  url: z.string(),
  default: z.boolean().catch(false),
});
const Manifest = z.object({
  tool: z.object({ uv: z.object({ index: z.array(UvIndex).catch([]) }).optional() }).optional(),
});

interface Known {
  readonly name: string;
  readonly url: string;
}

/**
 * The package indexes of a developer's machine for a lock, as uv or pip finds them: by name in `UV_INDEX` or in
 * `[[tool.uv.index]]` of the project, else the machine's own index.
 * @param names the names in the project's lock options.
 */
export async function pythonIndexes(
  root: string,
  { names, environment }: { names: readonly string[]; environment: Environment },
): Promise<Record<string, WorkerIndex>> {
  const declared = await declaredIn(root);
  const named = [...namedIn(environment), ...declared.flatMap(({ name = "", url }) => [{ name, url }])];
  const own =
    environment.UV_DEFAULT_INDEX ??
    environment.PIP_INDEX_URL ??
    declared.find((one) => one.default)?.url ??
    PUBLIC;
  const indexOf = (name: string): WorkerIndex => {
    const found = named.find((one) => one.name === name);
    return found === undefined
      ? placeOf(root, own)
      : withCredentials(placeOf(root, found.url), name, environment);
  };
  return Object.fromEntries([...new Set([DEFAULT, ...names])].map((name) => [name, indexOf(name)]));
}

async function declaredIn(root: string): Promise<z.output<typeof UvIndex>[]> {
  const text = (await readIfThere(resolve(root, "pyproject.toml"))) ?? "";
  return Manifest.safeParse(parse(text)).data?.tool?.uv?.index ?? [];
}

/** `UV_INDEX` has entries such as `internal=https://example.com/simple`, separated by spaces. */
function namedIn({ UV_INDEX = "" }: Environment): Known[] {
  return UV_INDEX.split(/\s+/).flatMap((entry) => {
    const [, name, url] = /^([A-Za-z0-9._-]+)=(.+)$/.exec(entry) ?? [];
    return name === undefined || url === undefined ? [] : [{ name, url }];
  });
}

/** An address, or a folder of wheels: a path of the project, or a `file:` address. */
function placeOf(root: string, url: string): WorkerIndex {
  if (/^https?:/i.test(url)) return { url };
  return { folder: url.startsWith("file:") ? fileURLToPath(url) : resolve(root, url) };
}

/** uv reads the credentials of a named index from variables with its name. They stay there. */
function withCredentials(index: WorkerIndex, name: string, environment: Environment): WorkerIndex {
  if ("folder" in index) return index;
  const prefix = `UV_INDEX_${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}`;
  const [username, password] = [environment[`${prefix}_USERNAME`], `${prefix}_PASSWORD`];
  return {
    ...index,
    ...(username && { username }),
    ...(environment[password] && { password: { env: password } }),
  };
}
