import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { startEmbeddedPostgres } from "../../services/control/src/kernel/postgres/start.ts";
import { endWithUs, removeWithUs } from "./guard.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** The test server's connection string; its databases are made by createTestDatabase. */
    postgresUrl: string;
  }
}

/** A crash of the machine may lose a test's data: nothing is waited for on disk. */
const FAST_SETTINGS = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  max_connections: "300",
} as const;

const KEPT_LINES = 50;

/**
 * Starts one Postgres for the whole test run in a temporary directory; returns what takes it away again, which is also
 * done if the run is killed.
 * The server's last lines are printed only if it ends before the tests do.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dir = await mkdtemp(join(tmpdir(), "towpath-test-postgres-"));
  removeWithUs(dir);
  const lines: string[] = [];
  const server = await startEmbeddedPostgres({
    dir,
    settings: FAST_SETTINGS,
    log: (line) => {
      lines.push(line);
      if (lines.length > KEPT_LINES) lines.shift();
    },
    onExit: (exit) => {
      console.error(`The test database ended with ${exit.code ?? exit.signal}:\n${lines.join("\n")}`);
    },
  });
  const isOver = endWithUs(server.pid, "INT");
  project.provide("postgresUrl", server.url);
  return async () => {
    await server.stop();
    isOver();
    await rm(dir, { recursive: true, force: true });
  };
}
