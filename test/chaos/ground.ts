import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { migrate } from "../../services/control/src/kernel/migrate.ts";
import { startEmbeddedPostgres } from "../../services/control/src/kernel/postgres/start.ts";
import { endWithUs, removeWithUs } from "../harness/guard.ts";
import { makeTemplate } from "./travel/cluster.ts";

/** A database for one scene. */
export interface GroundDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

/** Provides scenes with databases. */
export interface Ground {
  database(): Promise<GroundDatabase>;
  /** A migrated cluster to copy, for cases that need their own server. */
  template(): Promise<string>;
}

/** Makes the template of clusters on first use. */
export function lazyTemplate(): () => Promise<string> {
  let made: Promise<string> | undefined;
  return () => {
    made ??= makeTemplate();
    return made;
  };
}

/** Data may be lost in a crash of the machine, so the server never waits for the disk. */
const SETTINGS = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  max_connections: "300",
} as const;
const TEMPLATE = "chaos_template";

/** The matrix's database server. Each scene gets a clone of a migrated template. */
export async function openGround(): Promise<Ground & AsyncDisposable> {
  const dir = await mkdtemp(join(tmpdir(), "towpath-chaos-postgres-"));
  removeWithUs(dir);
  const server = await startEmbeddedPostgres({ dir, settings: SETTINGS, log: () => {} });
  // The guard stops the server if the matrix is killed.
  const isOver = endWithUs(server.pid, "INT");
  const urlOf = (name: string) => Object.assign(new URL(server.url), { pathname: `/${name}` }).href;
  const asAdmin = async (work: (admin: postgres.Sql) => Promise<unknown>) => {
    const admin = postgres(server.url, { max: 1, onnotice: () => {} });
    try {
      await work(admin);
    } finally {
      await admin.end({ timeout: 5 });
    }
  };
  await asAdmin((admin) => admin`create database ${admin(TEMPLATE)}`);
  await migrate(urlOf(TEMPLATE));
  return {
    template: lazyTemplate(),
    async database() {
      const name = `chaos_${randomBytes(6).toString("hex")}`;
      await asAdmin((admin) => admin`create database ${admin(name)} template ${admin(TEMPLATE)}`);
      return {
        url: urlOf(name),
        drop: () => asAdmin((admin) => admin`drop database if exists ${admin(name)} with (force)`),
      };
    },
    async [Symbol.asyncDispose]() {
      await server.stop();
      isOver();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
