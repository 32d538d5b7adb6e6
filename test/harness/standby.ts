import { chmod, cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import postgres from "postgres";
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from "../../services/control/src/kernel/postgres/start.ts";
import { endWithUs, removeWithUs } from "./guard.ts";

/** Nothing waits for the disk, and a standby needs what was written while it was away. */
const SETTINGS = { fsync: "off", full_page_writes: "off", wal_keep_size: "256MB" } as const;

/** Files of an embedded database that belong to the place where it stands. */
const OF_THE_PLACE = ["location", "port", "postmaster.pid", "postmaster.opts"];

/** A server and a standby that follows it by streaming replication, asynchronously. */
export interface Replicated extends AsyncDisposable {
  readonly primary: { readonly url: string };
  readonly standby: { readonly url: string; stop(): Promise<void> };
  /** The standby goes on receiving, and applies nothing until it is let go. */
  holdStandby(isHeld: boolean): Promise<void>;
}

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "towpath-replicated-"));
  removeWithUs(folder);
  await chmod(folder, 0o755);
  return folder;
}

async function start(dir: string, settings: Readonly<Record<string, string>>): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dir, settings: { ...SETTINGS, ...settings }, log: () => {} });
  endWithUs(server.pid, "INT");
  return server;
}

/** Starts both. The standby is a copy of the primary that was stopped for it. */
export async function startReplicated(): Promise<Replicated> {
  const [home, copy] = [await makeFolder(), await makeFolder()];
  const first = await start(home, {});
  await first.stop();
  await cp(dirname(first.dataDir), copy, {
    recursive: true,
    filter: (path) => !OF_THE_PLACE.includes(basename(path)),
  });
  await writeFile(join(copy, "data/standby.signal"), "");
  const primary = await start(home, {});
  const { port, username, password } = new URL(primary.url);
  const follow = `host=127.0.0.1 port=${port} user=${username} password=${password}`;
  const standby = await start(copy, { primary_conninfo: follow });
  const admin = postgres(standby.url, { max: 1, onnotice: () => {} });
  return {
    primary,
    standby,
    async holdStandby(isHeld) {
      await admin.unsafe(isHeld ? "select pg_wal_replay_pause()" : "select pg_wal_replay_resume()");
    },
    async [Symbol.asyncDispose]() {
      await admin.end({ timeout: 1 });
      await standby.stop();
      await primary.stop();
      for (const folder of [home, copy]) await rm(folder, { recursive: true, force: true });
    },
  };
}
