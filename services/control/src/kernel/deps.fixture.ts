import { randomBytes } from "node:crypto";
import { pino } from "pino";
import { type Clock, systemClock } from "./clock.ts";
import { type Config, parseConfig } from "./config.ts";
import { openDatabase } from "./database.ts";
import type { Deps } from "./deps.ts";
import { openInstallation } from "./installation.ts";
import { openWakes } from "./wakes.ts";

/** Real dependencies over a test database. */
export interface TestDeps extends Deps {
  close(): Promise<void>;
}

/**
 * Opens what verbs and duties need over a migrated test database: real pools, real wakes, a silent log.
 * @example
 * const database = await createTestDatabase();
 * const deps = await openTestDeps({ url: database.url, clock: manualClock(Date.now()) });
 */
export async function openTestDeps(a: {
  url: string;
  clock?: Clock;
  config?: Partial<Config>;
}): Promise<TestDeps> {
  const log = pino({ level: "silent" });
  const clock = a.clock ?? systemClock;
  const database = openDatabase(a.url);
  const sessionSecret = await openInstallation({ database, clock });
  const wakes = await openWakes({ sql: database.sql, log });
  const config = { ...parseConfig({ DATABASE_URL: a.url, TOWPATH_CHECK_ANSWERS: "1" }), ...a.config };
  return {
    ...{ database, clock, log, wakes, config, sessionSecret },
    async close() {
      await wakes.close();
      await database.close();
    },
  };
}

/** 16 random bytes in hex, for names that must not meet. */
export function unique(prefix: string): string {
  return `${prefix}-${randomBytes(8).toString("hex")}`;
}
