import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { PostgresStartError } from "./errors.ts";

const HOST = "127.0.0.1";

/**
 * Chooses the server's port: the requested one, else the last one if it is free, else any free one.
 * @throws PostgresStartError `port-taken` if the requested port is in use.
 */
export async function choosePort(root: string, wanted: number | undefined): Promise<number> {
  if (wanted !== undefined) {
    if (await tryListen(wanted)) return wanted;
    throw portTaken(wanted);
  }
  const last = Number((await readFile(join(root, "port"), "utf8").catch(() => "")).trim());
  if (Number.isInteger(last) && last > 1023 && last < 65_536 && (await tryListen(last))) return last;
  const free = await tryListen(0);
  if (free === undefined) throw portTaken(0);
  return free;
}

/** Keeps the port for the next start, so that saved connection strings stay valid. */
export async function rememberPort(root: string, port: number): Promise<void> {
  await writeFile(join(root, "port"), `${port}\n`, { mode: 0o600 });
}

/** The error for a port that is in use. */
export function portTaken(port: number): PostgresStartError {
  return new PostgresStartError(
    "port-taken",
    port === 0
      ? "No port on 127.0.0.1 is free for the embedded database. Stop some programs and try again."
      : `Port ${port} on 127.0.0.1 is in use. Stop the program that uses it, or choose another database port.`,
  );
}

function tryListen(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen({ host: HOST, port, exclusive: true }, () => {
      const address = server.address();
      const bound = typeof address === "object" && address !== null ? address.port : undefined;
      server.close(() => resolve(bound));
    });
  });
}
