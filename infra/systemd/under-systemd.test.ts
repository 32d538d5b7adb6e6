import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { copyFile, cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { deployProject } from "../../test/e2e/fixture.ts";
import { type Stack, startProcess, startStack } from "../../test/harness/index.ts";

/*
 * A systemd of its own runs the unit in namespaces of this test, with a control group of the test as the root of all groups. Only
 * settings that need a whole system are replaced: the command, where the output goes, and what starts before.
 */

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SYSTEMD = "/lib/systemd/systemd";

/** The folder of version 2 of control groups. Null: there is none. */
const groups = (): string | null =>
  existsSync("/proc/mounts")
    ? (/^\S+ (\S+) cgroup2 /m.exec(readFileSync("/proc/mounts", "utf8"))?.[1] ?? null)
    : null;

function obstacle(): string | null {
  if (process.getuid?.() !== 0) return "it needs root";
  if (!existsSync(SYSTEMD)) return "systemd is not installed";
  if (spawnSync("bwrap", ["--version"]).status !== 0) return "bubblewrap is not installed";
  return groups() === null ? "there are no control groups of version 2" : null;
}
const why = obstacle();
if (why !== null && process.env.CI && !existsSync(SYSTEMD))
  throw new Error(`In CI the unit must be run: ${why}.`);
if (why !== null) console.warn(`SKIPPED: the unit of the worker is not run by systemd: ${why}.`);

/** What systemd sees: a small system with the unit, this repository and Node. */
const INNER = `
set -e
mount --make-rprivate /
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
umount -l /proc
mount -t proc proc /proc
mount -t tmpfs none /run
mkdir -p /run/lock /run/repo /run/etc/upper /run/etc/work
touch /run/node
mount --bind "$NODE" /run/node
mount --bind "$REPO" /run/repo
mount -t overlay none -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work /etc
mount -t tmpfs none /var/lib
mount -t tmpfs none /srv
cp -r "$FILES/registry" /srv/registry
useradd --system --no-create-home --shell /usr/sbin/nologin towpath
rm -rf /etc/systemd/system
mkdir -p /etc/systemd/system/towpath-worker.service.d
cp "$REPO/infra/systemd/towpath-worker.service" /etc/systemd/system/
cp "$FILES"/*.conf /etc/systemd/system/towpath-worker.service.d/
install -d -m 700 /etc/towpath
install -m 600 "$FILES"/worker.* "$FILES"/signing.pub.jwk /etc/towpath
test -e "$FILES/z-users-and-namespaces.conf" || chown -R towpath: /etc/towpath
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin ${SYSTEMD} --system --unit=towpath-worker.service --log-target=console --show-status=no
`;

/** Settings that need a whole system, or name other paths. */
const ofTest = (output: string) => `
[Unit]
DefaultDependencies=no
[Service]
ExecStart=
ExecStart=/run/node /run/repo/worker/src/main.ts --config /etc/towpath/worker.json
StandardOutput=file:${output}
StandardError=file:${output}
Restart=no
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
export default defineConfig({
  project: "unit",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment({ name: "looks", command: ["sh", "-c", "echo user $(id -u); echo processes $(ls /proc | grep -c '^[0-9]'); echo x > $HOME/own && echo wrote; cat /etc/towpath/worker.key"] })],
});
`;

let stack: Stack;
let group: string;
beforeAll(async () => {
  if (why !== null) return;
  stack = await startStack();
  await deployProject(stack, { "towpath.config.ts": CONFIG });
  group = join(groups() ?? "", `towpath-test-${process.pid}`);
  await mkdir(group);
});
afterAll(async () => {
  await stack?.[Symbol.asyncDispose]();
  if (group === undefined) return;
  spawnSync("find", [group, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
  expect(existsSync(group)).toBe(false);
});

/** Starts systemd with the unit and a drop-in. @returns The process of systemd, and the output of the worker. */
async function startUnit(dropIn: string | null, settings: object) {
  const files = await mkdtemp(join(tmpdir(), "twp-systemd-"));
  onTestFinished(() => rm(files, { recursive: true, force: true }));
  const output = join(files, "output");
  await writeFile(output, "");
  await writeFile(join(files, "a-test.conf"), ofTest(output));
  if (dropIn !== null)
    await copyFile(fileURLToPath(new URL(dropIn, import.meta.url)), join(files, `z-${dropIn}`));
  await copyFile(join(stack.folder, "worker.key"), join(files, "worker.key"));
  await copyFile(join(stack.folder, "keys/signing.pub.jwk"), join(files, "signing.pub.jwk"));
  await cp(join(stack.folder, "registry"), join(files, "registry"), { recursive: true });
  const config = {
    url: stack.url,
    key: { file: "worker.key" },
    pool: "local",
    name: "unit",
    stateDir: "/var/lib/towpath/state",
    store: { root: "/var/lib/towpath/store" },
    trustedKeys: [{ file: "signing.pub.jwk" }],
    registries: { local: { kind: "oci-layout", path: "/srv/registry" } },
    logLevel: "debug",
    ...settings,
  };
  await writeFile(join(files, "worker.json"), JSON.stringify(config));
  const spaces = ["--mount", "--pid", "--fork", "--uts", "--ipc", "--cgroup", "--kill-child=KILL"];
  const inside = ["unshare", ...spaces, "bash", "-c", INNER].map(
    (word) => `'${word.replaceAll("'", "'\\''")}'`,
  );
  const systemd = startProcess({
    command: "bash",
    args: ["-c", `echo $$ > ${group}/cgroup.procs && exec ${inside.join(" ")}`],
    env: { ...process.env, NODE: realpathSync(process.execPath), REPO: ROOT, FILES: files },
  });
  onTestFinished(async () => {
    systemd.kill("SIGKILL");
    await systemd.exited;
  });
  return { systemd, said: () => readFileSync(output, "utf8") };
}

const linesOf = async (runId: string) => {
  const { entries } = await stack.client.getLogs({ params: { runId }, query: { limit: 500 } });
  return entries.flatMap((entry) => ("text" in entry ? [entry.text] : []));
};

const CASES = [
  { dropIn: null, settings: {}, wall: /one trust domain/, user: /^user [1-9]\d{2,4}$/ },
  {
    dropIn: "namespaces.conf",
    settings: { namespaces: "required" },
    wall: /each attempt runs in namespaces of its own/,
    user: /^user [1-9]\d{2,4}$/,
  },
  {
    dropIn: "users-and-namespaces.conf",
    settings: { namespaces: "required", runAs: "users" },
    wall: /each attempt runs as a user and in namespaces of its own/,
    user: /^user 2000000\d{3}$/,
  },
] as const;

describe.skipIf(why !== null)("systemd runs the unit of the worker", () => {
  test.each(CASES)(
    "with $dropIn, and the worker runs a command",
    async ({ dropIn, settings, wall, user }) => {
      const { systemd, said } = await startUnit(dropIn, settings);
      const facts = () => `${systemd.output()}\n${said()}`;
      await expect
        .poll(said, { timeout: 60_000, message: facts() })
        .toMatch(/"msg":"a runner is warm"|fatal/);
      expect(said(), facts()).toMatch(wall);
      const run = await stack.waitForRun(await stack.run("looks"));
      const lines = await linesOf(run.id);
      expect(lines).toContainEqual(expect.stringMatching(user));
      expect(lines).toContain("wrote");
      if (dropIn === null) return expect(run).toMatchObject({ state: "completed" });
      // The worker's key is not there.
      expect(run).toMatchObject({ state: "failed" });
      const [, processes = ""] = /processes (\d+)/.exec(lines.join("\n")) ?? [];
      expect(Number(processes)).toBeLessThan(10);
    },
  );
});
