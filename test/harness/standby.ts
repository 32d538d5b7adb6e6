import { chmod, cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import postgres from "postgres";
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from "../../services/control/src/kernel/postgres/start.ts";
import { endWithUs, removeWithUs } from "./guard.ts";

/** No `fsync`, and enough WAL for a standby that was away. */
const SETTINGS = { fsync: "off", full_page_writes: "off", wal_keep_size: "256MB" } as const;

/** Files of a data folder that must not be copied to another server. */
const OF_THE_PLACE = ["location", "port", "postmaster.pid", "postmaster.opts"];

/** A primary server, and a standby that follows it by asynchronous streaming replication. */
export interface Replicated extends AsyncDisposable {
  readonly primary: { readonly url: string };
  readonly standby: { readonly url: string; stop(): Promise<void> };
  /** Pauses replay: the standby still receives changes, but does not apply them. */
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

/** Starts both servers. The standby is a copy of the primary, made while the primary was stopped. */
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
