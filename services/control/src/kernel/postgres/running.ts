import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { CLUSTER_USER } from "./cluster.ts";
import { readLocation } from "./placement.ts";

const textOf = (path: string) =>
  readFile(path, "utf8").then(
    (text) => text.trim(),
    () => "",
  );

/**
 * The connection string of the embedded database that another process runs in a directory. Null if none does. A caller
 * who may read the directory's password is its operator.
 */
export async function findRunningPostgres(dir: string): Promise<string | null> {
  const root = (await readLocation(dir)) ?? dir;
  const [password, port, postmaster] = await Promise.all(
    ["password", "port", join("data", "postmaster.pid")].map((name) => textOf(join(root, name))),
  );
  if (!password || !port || !postmaster) return null;
  return `postgres://${CLUSTER_USER}:${password}@127.0.0.1:${port}/postgres`;
}
