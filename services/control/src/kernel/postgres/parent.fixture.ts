/** A parent process that tests kill. It starts the database in argv[2] and prints where it is. */
import { startEmbeddedPostgres } from "./start.ts";

const dir = process.argv[2] ?? "";
const server = await startEmbeddedPostgres({ dir, log: () => undefined });
process.stdout.write(`${JSON.stringify({ url: server.url, pid: server.pid })}\n`);
setInterval(() => undefined, 60_000);
