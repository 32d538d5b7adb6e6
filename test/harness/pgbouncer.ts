import { accessSync, constants } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { freePort } from "./free-port.ts";
import { removeWithUs } from "./guard.ts";
import { startProcess } from "./process.ts";

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Finds PgBouncer. Undefined if it is not installed: its tests are then skipped with a message.
 * @throws Error in CI, where no test may be skipped.
 */
export function findPgBouncer(): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin"];
  const found = folders.map((folder) => join(folder, "pgbouncer")).find(isExecutable);
  if (found !== undefined) return found;
  const missing = "The tests of a connection pooler need PgBouncer: apt-get install pgbouncer.";
  if (process.env.CI) throw new Error(missing);
  process.stderr.write(`SKIPPED: ${missing}\n`);
  return undefined;
}

/** A PgBouncer in transaction mode in front of one server. */
export interface PgBouncer extends AsyncDisposable {
  /** The connection string of the same database through the pooler. */
  through(url: string): string;
}

/**
 * Starts a PgBouncer in transaction mode in front of the server of `url`.
 * @param args.connections the most server connections per database
 */
export async function startPgBouncer(options: {
  program: string;
  url: string;
  connections: number;
}): Promise<PgBouncer> {
  const { hostname, port, username, password } = new URL(options.url);
  const folder = await mkdtemp(join(tmpdir(), "towpath-pgbouncer-"));
  removeWithUs(folder);
  await chmod(folder, 0o755);
  const at = await freePort();
  const settings = [
    "[databases]",
    `* = host=${hostname} port=${port} user=${decodeURIComponent(username)} password=${decodeURIComponent(password)}`,
    "[pgbouncer]",
    `listen_addr = 127.0.0.1\nlisten_port = ${at}\nunix_socket_dir =\nauth_type = any`,
    `pool_mode = transaction\ndefault_pool_size = ${options.connections}\nmax_client_conn = 500`,
  ];
  const file = join(folder, "pgbouncer.ini");
  await writeFile(file, `${settings.join("\n")}\n`, { mode: 0o644 });
  // PgBouncer refuses to run as root.
  const asUser = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
  const env = { PATH: process.env.PATH };
  const bouncer = startProcess({ command: options.program, args: [...asUser, file], env });
  await bouncer.waitFor(/process up/);
  return {
    through(url) {
      const pooled = new URL(url);
      pooled.hostname = "127.0.0.1";
      pooled.port = String(at);
      return pooled.href;
    },
    async [Symbol.asyncDispose]() {
      await bouncer[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
