import { readFileSync } from "node:fs";
import { chmod, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { freePort } from "../../harness/free-port.ts";
import { childrenOf } from "../processes.ts";
import { type Link, startProxy } from "../proxy.ts";
import type { Random } from "../random.ts";
import { type Cluster, connect, copyCluster, startCluster, writeInside } from "./cluster.ts";

/** A way for a database to go back in time. */
export interface Kind {
  /** Settings of the first server. */
  readonly settings: Readonly<Record<string, string>>;
  /** Takes what a restore begins with, such as a base backup. */
  prepare(primary: Cluster): Promise<void>;
  /** Marks the point that the database will go back to. It holds everything committed before the call. */
  mark(primary: Cluster): Promise<void>;
  /** Completes what the restore needs while the old server still runs. */
  secure(primary: Cluster): Promise<void>;
  /** Starts a server in the state of the point. The old server has stopped. */
  restore(): Promise<Cluster>;
  close(): Promise<void>;
}

/** Arguments for making a kind. */
export interface KindOptions {
  /** A folder for its files. */
  readonly folder: string;
  readonly random: Random;
}

const LOOK_MS = 25;
const PATIENCE_MS = 60_000;

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await holds().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`Time ran out while waiting for ${what}.`);
    await pause(LOOK_MS);
  }
}

/** Takes a base backup with the low-level API into `to`. The server continues. */
async function backUp(primary: Cluster, to: string): Promise<void> {
  const session = await primary.sql.reserve();
  try {
    await session`select pg_backup_start('towpath', true)`;
    await copyCluster(join(primary.dataDir, ".."), to);
    // WAL written meanwhile comes from the archive, or over the stream.
    const wal = join(to, "data/pg_wal");
    for (const entry of await readdir(wal, { withFileTypes: true, recursive: true }))
      if (entry.isFile()) await rm(join(entry.parentPath, entry.name));
    const [row] = await session<{ labelfile: string }[]>`select labelfile from pg_backup_stop(false)`;
    await writeInside(to, "backup_label", row?.labelfile);
  } finally {
    session.release();
  }
}

/** The recovery targets. */
const TARGETS = ["recovery_target_time", "recovery_target_lsn", "recovery_target_name"] as const;

/** A base backup, archived WAL, and a recovery to a time, a position or a named point. The timeline changes. */
function pointInTime({ folder, random }: KindOptions): Kind {
  const [archive, base] = [join(folder, "archive"), join(folder, "base")];
  let target: Record<string, string> = {};
  return {
    settings: { archive_mode: "on", archive_command: `cp %p ${archive}/%f` },
    async prepare(primary) {
      await mkdir(archive, { recursive: true });
      await chmod(archive, 0o777);
      await backUp(primary, base);
    },
    async mark({ sql }) {
      const [row] = await sql<{ lsn: string; time: string }[]>`
        select pg_create_restore_point('before')::text as lsn, clock_timestamp()::text as time`;
      const kind = random.pick(TARGETS);
      const value = { recovery_target_time: row?.time, recovery_target_lsn: row?.lsn };
      target = { [kind]: kind === "recovery_target_name" ? "before" : (value[kind] ?? "") };
    },
    async secure({ sql }) {
      const [last] = await sql<{ name: string }[]>`select pg_walfile_name(pg_switch_wal()) as name`;
      await until("the archive", async () => {
        const [row] = await sql<{ done: boolean }[]>`
          select last_archived_wal >= ${last?.name ?? ""} as done from pg_stat_archiver`;
        return row?.done === true;
      });
    },
    async restore() {
      await writeInside(base, "recovery.signal");
      const settings = {
        restore_command: `cp ${archive}/%f %p`,
        recovery_target_action: "promote",
        ...target,
        archive_mode: "off",
      };
      return await startCluster({ dir: base, settings });
    },
    async close() {},
  };
}

/** Stops every process of a server, so that a copy of its files is like a snapshot of the volume. */
async function frozen(pid: number, work: () => Promise<void>): Promise<void> {
  const isStill = (one: number) => /^State:\s+[TZ]/m.test(readFileSync(`/proc/${one}/status`, "utf8"));
  // The postmaster is stopped first, so that it starts no process afterwards.
  process.kill(pid, "SIGSTOP");
  const children = childrenOf(pid);
  for (const child of children) process.kill(child, "SIGSTOP");
  try {
    await until("a database that stands still", async () => [pid, ...children].every(isStill));
    await work();
  } finally {
    for (const one of [...children, pid]) process.kill(one, "SIGCONT");
  }
}

/** A snapshot of the data folder that is put back later: neither the system identifier nor the timeline changes. */
function snapshot({ folder }: KindOptions): Kind {
  const copy = join(folder, "copy");
  return {
    settings: {},
    async prepare() {},
    mark: (primary) => frozen(primary.pid, () => copyCluster(join(primary.dataDir, ".."), copy)),
    async secure() {},
    restore: () => startCluster({ dir: copy }),
    async close() {},
  };
}

/** An asynchronous streaming standby that is disconnected for the last seconds and then promoted. The timeline changes. */
function standby({ folder, random }: KindOptions): Kind {
  const dir = join(folder, "standby");
  let [link, url, promoted]: [Link | null, string, Promise<Cluster> | null] = [null, "", null];
  const ask = async <Row extends object>(question: string): Promise<Row | undefined> => {
    const sql = connect(url);
    try {
      const [row] = await sql.unsafe<Row[]>(question);
      return row;
    } finally {
      await sql.end({ timeout: 1 });
    }
  };
  return {
    settings: {},
    async prepare(primary) {
      await backUp(primary, dir);
      await writeInside(dir, "standby.signal");
      link = await startProxy({ target: primary.url, random });
      const { username, password } = new URL(primary.url);
      const { port: source } = new URL(link.url);
      const port = await freePort();
      url = Object.assign(new URL(primary.url), { port: String(port) }).href;
      const primary_conninfo = `host=127.0.0.1 port=${source} user=${username} password=${password}`;
      promoted = startCluster({ dir, port, settings: { primary_conninfo } });
      promoted.catch(() => {});
      await until("the standby", async () => {
        const row = await ask<{ streams: boolean }>(
          "select count(*) > 0 as streams from pg_stat_wal_receiver",
        );
        return row?.streams === true;
      });
    },
    async mark({ sql }) {
      const [row] = await sql<{ lsn: string }[]>`select pg_current_wal_lsn()::text as lsn`;
      await until("the standby to have replayed", async () => {
        const told = await ask<{ there: boolean }>(
          `select pg_last_wal_replay_lsn() >= '${row?.lsn}'::pg_lsn as there`,
        );
        return told?.there === true;
      });
      link?.down();
    },
    async secure() {},
    async restore() {
      if (promoted === null) throw new Error("There is no standby to promote.");
      await ask("select pg_promote(false)");
      const cluster = await promoted;
      promoted = null;
      return cluster;
    },
    async close() {
      await link?.[Symbol.asyncDispose]();
      // If nobody promoted the standby, nobody else ends it.
      if (promoted === null) return;
      await ask("select pg_promote(false)");
      await (await promoted).stop();
    },
  };
}

/** The ways for a database to go back in time. */
export const KINDS = { pitr: pointInTime, snapshot, standby } as const satisfies Record<
  string,
  (options: KindOptions) => Kind
>;

/** The name of a kind. */
export type KindName = keyof typeof KINDS;
