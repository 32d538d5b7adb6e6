import { lstat, mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { Failure } from "../failure.ts";

/** The paths in a state folder (`.towpath/`). */
export interface StateFolder {
  readonly root: string;
  readonly control: string;
  readonly serverFile: string;
  readonly adminKeyFile: string;
  readonly controlLog: string;
  readonly worker: string;
  readonly workerConfigFile: string;
  readonly workerKeyFile: string;
  readonly workerLog: string;
  readonly registry: string;
  readonly store: string;
  readonly signingKeyFile: string;
  readonly signingPublicFile: string;
  /** The key that follows, during a rotation. */
  readonly signingNextFile: string;
  /** The public keys for workers, once there are several. */
  readonly trustFile: string;
  /** The processes that `towpath dev` started. */
  readonly devFile: string;
  /** The size of each project's code at its last deploy. */
  readonly bundleSizesFile: string;
}

/** The name of a state folder. */
export const STATE_FOLDER_NAME = ".towpath";

/** The paths in a state folder. They need not exist. */
export function stateFolder(path: string): StateFolder {
  const root = resolve(path);
  const [control, worker, keys] = [join(root, "control"), join(root, "worker"), join(root, "keys")];
  return {
    root,
    control,
    serverFile: join(control, "server.json"),
    adminKeyFile: join(control, "admin.key"),
    controlLog: join(control, "control.log"),
    worker,
    workerConfigFile: join(worker, "worker.json"),
    workerKeyFile: join(worker, "worker.key"),
    workerLog: join(worker, "worker.log"),
    registry: join(root, "registry"),
    store: join(root, "store"),
    signingKeyFile: join(keys, "signing.jwk"),
    signingPublicFile: join(keys, "signing.pub.jwk"),
    signingNextFile: join(keys, "signing.next.jwk"),
    trustFile: join(keys, "signing.trust.json"),
    devFile: join(root, "dev.json"),
    bundleSizesFile: join(root, "bundle-sizes.json"),
  };
}

/** The most folders that a search upwards visits. */
const LEVELS_MAX = 64;

/** The nearest folder named `.towpath` at or above a folder, or null. */
export async function findStateFolder(from: string): Promise<StateFolder | null> {
  let current = resolve(from);
  for (let level = 0; level < LEVELS_MAX; level++) {
    const candidate = join(current, STATE_FOLDER_NAME);
    const found = await stat(candidate).catch(() => null);
    if (found?.isDirectory()) return stateFolder(candidate);
    const parent = dirname(current);
    if (parent === current) return null;
    current = parent;
  }
  return null;
}

/** A file's text, or null if it cannot be read. */
export async function readIfThere(path: string): Promise<string | null> {
  return readFile(path, "utf8").catch(() => null);
}

/**
 * The text of a regular file, or null. Links are not followed, because a link in another person's folder could lead to any
 * file of this user.
 */
export async function readOwnFile(path: string): Promise<string | null> {
  const found = await lstat(path).catch(() => null);
  return found?.isFile() ? readIfThere(path) : null;
}

/**
 * Writes a file atomically and creates its folder.
 * @throws Failure that names the path if it cannot be written.
 */
export async function writeWhole(path: string, text: string | Uint8Array, mode = 0o644): Promise<void> {
  const aside = `${path}.${process.pid}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(aside, text, { mode });
    await rename(aside, path);
  } catch (cause) {
    throw notWritable(path, cause);
  }
}

/** The failure for a path that cannot be written. */
export function notWritable(path: string, cause: unknown): Failure {
  const code = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : "";
  return new Failure(`${path} cannot be written${code}.`, {
    exit: "cannotWrite",
    code: "not-writable",
    next: ["change its permissions, or choose another folder with --state DIR"],
    cause,
  });
}
