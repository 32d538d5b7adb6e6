import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LIMITS, uuidv7 } from "@towpath/contract";
import { sql } from "#sql";
import { type Deps, inTransaction, systemScope } from "../kernel/index.ts";
import { createKey, listKeys } from "./keys.ts";
import { isSecret, parseKey } from "./secrets.ts";
import { findKey, findWorkspace, hasOrganization, insertWorkspace } from "./store.ts";

/** The names of the tenant that the first boot creates. */
const FIRST = { organization: "local", workspace: "default" };

/** An arbitrary number that no other advisory lock uses. It lets one process create the first tenant. */
const BOOTSTRAP_LOCK = 7_281_947_022;

/**
 * Creates a workspace with an organization of its own.
 * @returns the workspace's id.
 */
export function createWorkspace(
  deps: Pick<Deps, "database" | "clock" | "wakes">,
  args: { organization: string; workspace: string },
): Promise<string> {
  return inTransaction(deps, async (tx) => {
    const at = deps.clock.nowMs();
    const workspaceId = uuidv7(at);
    await insertWorkspace(tx, { ...args, organizationId: uuidv7(at), workspaceId });
    return workspaceId;
  });
}

async function firstWorkspace(deps: Pick<Deps, "database" | "clock" | "wakes">): Promise<string | null> {
  return inTransaction(deps, async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${BOOTSTRAP_LOCK})`);
    if (await hasOrganization(tx)) return findWorkspace(tx, FIRST);
    const at = deps.clock.nowMs();
    const workspaceId = uuidv7(at);
    await insertWorkspace(tx, { ...FIRST, organizationId: uuidv7(at), workspaceId });
    return workspaceId;
  });
}

/** Why the file holds no valid key of this database, or null if it holds one. */
async function faultOfKeyFile(deps: Pick<Deps, "database">, path: string): Promise<string | null> {
  const text = await readFile(path, "utf8").catch(() => null);
  if (text === null) return "the file is missing";
  const parts = parseKey(text.trim());
  if (parts === null) return "the file holds no key";
  const key = await findKey(deps.database.db, parts.id);
  if (key === null || !isSecret(parts.secret, key.secretHash))
    return "its key does not belong to this database";
  return key.revokedAt === null ? null : "its key is revoked";
}

/** The valid admin keys on the first page of `towpath key ls`, newest first. */
async function workingAdminKeys(deps: Pick<Deps, "database">, workspaceId: string) {
  const { items } = await listKeys(deps, { scope: systemScope(workspaceId), limit: LIMITS.pageRows });
  return items.filter((key) => key.role === "admin" && key.revokedAt === null);
}

async function writeSecretFile(path: string, text: string): Promise<void> {
  const partial = `${path}.partial`;
  await writeFile(partial, text, { mode: 0o600 });
  await chmod(partial, 0o600);
  await rename(partial, path);
}

/**
 * Creates the first organization and workspace if there are none. With `config.bootstrap` it also writes a new
 * `admin.key` to the state directory if the file is missing or holds no valid key of this database.
 */
export async function bootstrap(
  deps: Pick<Deps, "database" | "clock" | "wakes" | "config" | "log">,
): Promise<void> {
  const workspaceId = await firstWorkspace(deps);
  if (!deps.config.bootstrap || workspaceId === null) return;
  const path = join(deps.config.stateDir, "admin.key");
  const reason = await faultOfKeyFile(deps, path);
  if (reason === null) return;
  const earlier = await workingAdminKeys(deps, workspaceId);
  const created = await createKey(deps, {
    scope: systemScope(workspaceId),
    input: { kind: "api", name: "admin", role: "admin" },
  });
  await mkdir(deps.config.stateDir, { recursive: true });
  await writeSecretFile(path, `${created.secret}\n`);
  const wrote = { path, keyId: created.key.id };
  if (earlier.length === 0) return deps.log.info(wrote, "wrote an admin key");
  const names = earlier.map(({ id, name }) => `${name} ${id}`);
  deps.log.warn(
    { ...wrote, reason, earlier: names },
    "wrote another admin key; the earlier keys stay valid until you revoke them with towpath key revoke",
  );
}
