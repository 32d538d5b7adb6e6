import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Settings } from "@towpath/worker";
import { expect, onTestFinished, test } from "vitest";

const isThere = spawnSync("systemd-analyze", ["--version"]).status === 0;
if (!isThere)
  console.warn("SKIPPED: the unit of the worker is checked with systemd-analyze, which is not installed.");

const fileOf = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/**
 * The unit alone and with each drop-in, and the highest exposure that it may have, in tenths. systemd calls up to 20 "OK", and a
 * service without settings has 96.
 */
const UNITS = [
  { name: "alone", dropIn: null, exposureMax: 20 },
  { name: "with namespaces.conf", dropIn: "namespaces.conf", exposureMax: 30 },
  { name: "with users-and-namespaces.conf", dropIn: "users-and-namespaces.conf", exposureMax: 45 },
] as const;

/** The unit as systemd reads it with a drop-in: later lines of a setting replace earlier ones, or add to them. */
async function unitWith(dropIn: string | null): Promise<string> {
  const unit = await readFile(fileOf("towpath-worker.service"), "utf8");
  if (dropIn === null) return unit;
  const [service = "", install = ""] = unit.split("[Install]");
  return `${service}\n${await readFile(fileOf(dropIn), "utf8")}\n[Install]${install}`;
}

/** The last value of a setting. */
function settingIn(unit: string, name: string): string | undefined {
  return unit
    .split("\n")
    .flatMap((line) => (line.startsWith(`${name}=`) ? line.slice(name.length + 1) : []))
    .at(-1);
}

/** The system calls that a unit allows, as `systemd-analyze` spells out their groups. */
function callsOf(unit: string): Set<string> {
  const calls = new Set<string>();
  for (const line of unit.split("\n")) {
    const [, not, words = ""] = /^SystemCallFilter=(~?)(.*)$/.exec(line) ?? [];
    for (const word of words.split(" ").filter((one) => one !== ""))
      for (const call of membersOf(word)) {
        if (not === "~") calls.delete(call);
        else calls.add(call);
      }
  }
  return calls;
}

const known = new Map<string, readonly string[]>();

function membersOf(word: string): readonly string[] {
  if (!word.startsWith("@")) return [word];
  const members = known.get(word) ?? readMembers(word);
  known.set(word, members);
  return members;
}

function readMembers(word: string): string[] {
  const { stdout } = spawnSync("systemd-analyze", ["syscall-filter", word], { encoding: "utf8" });
  return stdout
    .split("\n")
    .slice(1)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .flatMap(membersOf);
}

test.skipIf(!isThere).each(UNITS)(
  "systemd accepts the unit of the worker $name, which exposes little",
  async (its) => {
    const dir = await mkdtemp(join(tmpdir(), "twp-unit-"));
    onTestFinished(() => rm(dir, { recursive: true }));
    const path = join(dir, "towpath-worker.service");
    await writeFile(path, await unitWith(its.dropIn));
    const { stdout, stderr } = spawnSync("systemd-analyze", ["verify", path], { encoding: "utf8" });
    const said = (stdout + stderr).split("\n").filter((line) => line.includes("towpath-worker.service"));
    expect(said).toEqual([]);
    const words = ["security", "--offline=true", `--threshold=${its.exposureMax}`, path];
    const judged = spawnSync("systemd-analyze", words, { encoding: "utf8" });
    expect(judged.status, judged.stdout).toBe(0);
  },
);

test("a stop gives runs the time that the worker promises them, and no process stays", async () => {
  const unit = await unitWith(null);
  const drainMs = Settings.shape.drainMs.parse(undefined);
  expect(Number(settingIn(unit, "TimeoutStopSec")) * 1000).toBeGreaterThan(2 * drainMs);
  expect(settingIn(unit, "KillMode")).toBe("mixed");
});

test("a run that needs too much memory ends neither the worker nor other runs", async () => {
  expect(settingIn(await unitWith(null), "OOMPolicy")).toBe("continue");
});

/** What bubblewrap calls, by strace, and systemd can forbid. */
const OF_BUBBLEWRAP = ["capset", "clone", "mount", "pivot_root", "prctl", "signalfd4", "umount2", "unshare"];
/** What covers a part of `/proc`. The kernel then lets no namespace mount it anew. */
const COVERING = ["ProtectKernelTunables", "ProtectKernelLogs", "ProtectHostname"];

test.each(["namespaces.conf", "users-and-namespaces.conf"])(
  "%s allows what namespaces of runs need",
  async (name) => {
    const unit = await unitWith(name);
    expect(settingIn(unit, "RestrictNamespaces")?.split(" ").sort()).toEqual(["ipc", "mnt", "pid", "user"]);
    expect(COVERING.map((one) => settingIn(unit, one))).toEqual(COVERING.map(() => "no"));
    expect(settingIn(unit, "ProtectProc")).toBe("default");
    if (!isThere) return;
    expect(OF_BUBBLEWRAP.filter((call) => !callsOf(unit).has(call))).toEqual([]);
    const alone = callsOf(await unitWith(null));
    expect(OF_BUBBLEWRAP.filter((call) => !alone.has(call))).toContain("mount");
  },
);
