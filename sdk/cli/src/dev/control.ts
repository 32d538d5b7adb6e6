import { type Client, createClient } from "@towpath/client";
import { Failure } from "../failure.ts";
import { readAdminKey, readServerFile } from "../kernel/connection.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { programArguments } from "../kernel/programs.ts";
import type { StateFolder } from "../kernel/state-folder.ts";
import { type Child, startChild } from "./children.ts";

/** How long the control plane may take to be ready. The first start creates a database. */
const READY_MS = 180_000;
const POLL_MS = 50;
const PROBE_TIMEOUT_MS = 2_000;

/** The environment without the variables that choose a control plane: `dev` always uses its own. */
export function withoutConnection({ config }: Invocation): Readonly<Record<string, string | undefined>> {
  const { TOWPATH_URL: _url, TOWPATH_KEY: _key, TOWPATH_PROFILE: _profile, ...rest } = config.environment;
  return rest;
}

/** Starts the control plane on a port of this machine. */
export function startControl(
  invocation: Invocation,
  options: { folder: StateFolder; port: number },
): Promise<Child> {
  const rest = withoutConnection(invocation);
  return startChild({
    name: "control plane",
    args: programArguments("control"),
    cwd: invocation.cwd,
    log: options.folder.controlLog,
    environment: {
      ...rest,
      TOWPATH_STATE_DIR: options.folder.control,
      TOWPATH_HOST: "127.0.0.1",
      TOWPATH_PORT: String(options.port),
      TOWPATH_BOOTSTRAP: "1",
    },
  });
}

async function isReady(folder: StateFolder, pid: number): Promise<string | null> {
  const server = await readServerFile(folder);
  // The file may be an earlier start's.
  if (server?.pid !== pid) return null;
  const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
  const answer = await fetch(`${server.url}/readyz`, { signal }).catch(() => null);
  await answer?.body?.cancel();
  return answer?.ok ? server.url : null;
}

async function untilReady(args: { folder: StateFolder; pid: number; signal: AbortSignal }): Promise<string> {
  for (let waited = 0; waited < READY_MS; waited += POLL_MS) {
    args.signal.throwIfAborted();
    const url = await isReady(args.folder, args.pid);
    if (url !== null) return url;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Failure("The control plane did not become ready within three minutes.", {
    exit: "failed",
    code: "not-ready",
    next: [`read its log: ${args.folder.controlLog}`],
  });
}

/**
 * Waits until the control plane is ready, and creates a client with the admin key that it wrote at its first start.
 * @throws Failure with its last log lines if it ends instead.
 */
export async function connectControl(
  child: Child,
  args: { folder: StateFolder; signal: AbortSignal; workspaceKeys: readonly string[] },
): Promise<{ url: string; key: string; client: Client }> {
  const ready = untilReady({ ...args, pid: child.identity.pid });
  const url = await child.whileAlive(ready);
  const token = await readAdminKey(args.folder);
  if (!token)
    throw new Failure(`There is no admin key in ${args.folder.adminKeyFile}.`, {
      exit: "configuration",
      code: "no-admin-key",
      next: [
        "the database was created by another control plane, which showed the key then",
        "put that key into the file, or start with a new database and state folder",
      ],
    });
  return { url, key: token, client: createClient({ url, token, sealing: { keys: args.workspaceKeys } }) };
}
