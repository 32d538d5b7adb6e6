import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { startEmbeddedPostgres } from "../../services/control/src/kernel/postgres/start.ts";
import { endWithUs, removeWithUs } from "./guard.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** The test server's connection string. createTestDatabase makes its databases. */
    postgresUrl: string;
  }
}

/** Test data may be lost in a crash of the machine, so the server never waits for the disk. */
const FAST_SETTINGS = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  max_connections: "300",
} as const;

const KEPT_LINES = 50;

/**
 * Starts one Postgres for the whole test run in a temporary folder. The function that it returns removes it; the guard does so if the
 * test run is killed. The server's last log lines are printed only if it ends before the tests do.
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
