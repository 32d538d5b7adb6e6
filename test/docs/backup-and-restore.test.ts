import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { expect, onTestFinished, test } from "vitest";
import { findUnprivilegedAccount } from "../../services/control/src/kernel/postgres/run-as.ts";
import { startProxy } from "../chaos/proxy.ts";
import { seeded } from "../chaos/random.ts";
import { findPostgresPrograms } from "../harness/debian-postgres.ts";
import { freePort } from "../harness/free-port.ts";
import { type Stack, startProcess, startStack } from "../harness/index.ts";
import { pageBlocks } from "./page-files.ts";

const PAGE = "docs/how-to/backup-and-restore.md";

/** The shell lines of a section, one text per block. */
function lines(section: string, count: number): string[] {
  const found = pageBlocks(PAGE, section).filter(({ language }) => language === "sh");
  expect(found, section).toHaveLength(count);
  return found.map(({ text }) => text);
}

/** A database server as the page assumes it. Its paths are folders of the test, and its lines run as the server's user. */
async function databaseServer(programs: string) {
  const folder = await mkdtemp(join(tmpdir(), "towpath-backup-"));
  await chmod(folder, 0o755);
  const home = join(folder, "15");
  await mkdir(join(folder, "backup/wal"), { recursive: true });
  await mkdir(home);
  const account = process.getuid?.() === 0 ? await findUnprivilegedAccount() : undefined;
  if (account !== undefined)
    for (const path of [folder, home, join(folder, "backup"), join(folder, "backup/wal")])
      await chown(path, account.uid, account.gid);
  const as =
    account === undefined
      ? []
      : ["setpriv", `--reuid=${account.uid}`, `--regid=${account.gid}`, "--clear-groups"];
  const [port, standbyPort] = [await freePort(), await freePort()];
  const url = `postgres://towpath@127.0.0.1:${port}/postgres`;
  const places = new Map([
    ["/var/lib/postgresql/15", home],
    ["/backup", join(folder, "backup")],
    ["-p 5433", `-p ${standbyPort}`],
  ]);
  const run = async (text: string, more: Readonly<Record<string, string>> = {}) => {
    const here = [...Object.entries(more), ...places].reduce(
      (all, [from, to]) => all.replaceAll(from, to),
      text,
    );
    const [command = "sh", ...args] = [...as, "sh", "-e", "-c", here];
    const env = { PATH: `${programs}:${process.env.PATH}`, DATABASE_URL: url, LC_ALL: "C", TZ: "UTC" };
    await using shell = startProcess({ command, args, env, cwd: folder });
    expect(await shell.exited, `${here}\n${shell.output()}`).toBe(0);
    return shell.output().trim();
  };
  onTestFinished(async () => {
    await run("for one in 15/main 15/standby; do pg_ctl stop -s -m immediate -D $one || true; done");
    await rm(folder, { recursive: true, force: true });
  });
  const conf = `port=${port}\nunix_socket_directories='${folder}'\nfsync=off\nshared_buffers=32MB\n`;
  await run(`initdb -D /var/lib/postgresql/15/main -U towpath -A trust -E UTF8 --no-locale --no-sync`);
  await writeFile(join(folder, "conf"), conf);
  await run(`cat conf >> /var/lib/postgresql/15/main/postgresql.conf
    pg_ctl start -w -D /var/lib/postgresql/15/main -l /var/lib/postgresql/15/log`);
  return { run, url, standbyUrl: url.replace(String(port), String(standbyPort)) };
}

const FLOW = `
import { existsSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { flow } from "towpath";
import { z } from "zod";
export const waiting = flow({ name: "waiting", input: z.object({ gate: z.string() }) }, async ({ gate }) => {
  while (!existsSync(gate)) await pause(50);
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { waiting } from "./waiting.ts";
export default defineConfig({ project: "gates", pool: "local", registry: ociLayout(REGISTRY, { name: "local" }), deployments: [deployment(waiting, {})] });
`;

/** A worker whose flow ends once a file exists. */
async function workAt(stack: Stack) {
  const config = CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry")));
  const home = await stack.project({ "waiting.ts": FLOW, "towpath.config.ts": config });
  const deployed = await stack.towpath(["deploy", "--project", home]);
  expect(deployed.code, deployed.output).toBe(0);
  await stack.startWorker();
  const gates = new Map<string, string>();
  return {
    async begin() {
      const gate = join(stack.folder, `gate-${gates.size}`);
      const id = await stack.run("waiting", { gate });
      gates.set(id, gate);
      await stack.waitForRun(id, ({ state }) => state === "running");
      return id;
    },
    /** Lets a run end, and waits until the control plane has acknowledged its outcome. */
    async end(id: string) {
      await writeFile(gates.get(id) ?? "", "");
      expect(await stack.waitForRun(id)).toMatchObject({ state: "completed", attempts: 1 });
    },
  };
}

/** Repeats a request while the database is away. */
async function patiently<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  return await expect
    .poll(() => ask().catch(() => null), { timeout: 60_000 })
    .not.toBeNull()
    .then(ask);
}

const programs = findPostgresPrograms();

test.skipIf(programs === undefined)(
  `${PAGE}: what is restored as the page says has lost nothing that workers knew`,
  {
    timeout: 240_000,
  },
  async () => {
    const server = await databaseServer(programs ?? "");
    const front = await startProxy({ target: server.url, random: seeded(1) });
    onTestFinished(() => front[Symbol.asyncDispose]());
    const url = Object.assign(new URL(server.url), { port: new URL(front.url).port }).href;
    await using stack = await startStack({ database: { url, drop: async () => {} } });
    const work = await workAt(stack);
    const outcomeOf = (runId: string) => patiently(() => stack.client.getRun({ params: { runId } }));

    const [archive = "", backUp = "", restore = "", tidy = ""] = lines(
      "2. Archive the log and restore to a point in time",
      4,
    );
    await server.run(archive);
    await patiently(() => stack.client.listPools({}));
    await server.run(backUp);
    const ended = await work.begin();
    const point = await server.run(`psql "$DATABASE_URL" -Atc "select clock_timestamp()"`);
    await work.end(ended);
    const lost = await work.begin();
    await server.run(restore, { "2026-06-01 12:00:00+00": point });
    await server.run(tidy);
    await expect
      .poll(() => outcomeOf(ended), { timeout: 60_000 })
      .toMatchObject({ state: "completed", attempts: 1 });
    await expect(stack.client.getRun({ params: { runId: lost } })).rejects.toMatchObject({
      code: "run-not-found",
    });

    const [standby = "", promote = ""] = lines("3. Promote a standby", 2);
    await server.run(standby);
    const kept = await work.begin();
    const primary = postgres(server.url, { max: 1 });
    const replica = postgres(server.standbyUrl, { max: 1 });
    const [at] = await primary<{ lsn: string }[]>`select pg_current_wal_lsn()::text as lsn`;
    await expect
      .poll(
        async () => (await replica`select pg_last_wal_replay_lsn() >= ${at?.lsn ?? ""}::pg_lsn as there`)[0],
      )
      .toMatchObject({ there: true });
    await Promise.all([primary.end(), replica.end()]);
    await server.run("pg_ctl stop -w -m immediate -D /var/lib/postgresql/15/main");
    await server.run(promote);
    front.moveTo(server.standbyUrl);
    await patiently(() => stack.client.listPools({}));
    await work.end(kept);

    const [copy = "", putBack = ""] = lines("4. Restore a snapshot", 2);
    // The standby is now the primary, on the port in its settings.
    const here = { "/var/lib/postgresql/15/main": "/var/lib/postgresql/15/standby" };
    const begun = await work.begin();
    await server.run(copy, here);
    front.moveTo(server.url);
    await work.end(begun);
    await server.run(putBack, here);
    await expect
      .poll(() => outcomeOf(begun), { timeout: 60_000 })
      .toMatchObject({ state: "completed", attempts: 1 });
    expect(await outcomeOf(kept)).toMatchObject({ state: "completed" });

    for (const line of lines("7. Check a restore", 1).join("").trim().split("\n")) {
      const checked = await stack.towpath(line.split(" ").slice(1));
      // The database has lost attempts that workers know. doctor must report that, and nothing else.
      const failed = checked.output.split("\n").filter((text) => text.includes("✗"));
      if (line === "towpath doctor")
        expect(failed, checked.output).toEqual([expect.stringMatching(/✗ restore .*does not have/)]);
      else expect(checked.code, `${line}\n${checked.output}`).toBe(0);
    }
  },
);
