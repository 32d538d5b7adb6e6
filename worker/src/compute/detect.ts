import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import type { Gpu } from "./declared.ts";

/** How long `nvidia-smi` may take, milliseconds: it wakes devices that sleep. */
const GPU_TIMEOUT_MS = 20_000;

/** Where a worker finds what its machine has. Tests replace it. */
export interface Machine {
  /** Cores that this process may use. */
  cores(): number;
  /** Bytes of memory that the machine has. */
  memoryBytes(): number;
  /** The control group's limit on memory, bytes. 0 or more than the machine has: no limit. */
  memoryLimitBytes(): number;
  /** Text of a file of the control group, or null. */
  readFile(path: string): string | null;
  /** What a program prints; null if it is missing or fails. */
  run(program: string, args: readonly string[]): Promise<string | null>;
}

/** What a machine has. */
export interface Detected {
  readonly cpu: number;
  readonly memory: number;
  readonly gpus: readonly Gpu[];
}

/** Detects what the machine has, within the limits of this process's control groups. */
export async function detect(machine: Machine): Promise<Detected> {
  const limit = machine.memoryLimitBytes();
  const memory = machine.memoryBytes();
  return {
    cpu: Math.min(machine.cores(), cpuQuota(machine) ?? Number.POSITIVE_INFINITY),
    memory: limit > 0 && limit < memory ? limit : memory,
    gpus: await detectGpus(machine),
  };
}

/** The control groups' limit on cores, in thousandths; null if there is none. See the kernel's cgroup documentation. */
function cpuQuota(machine: Machine): number | null {
  for (const group of groups(machine)) {
    const [quota, period] = quotaOf(machine, group);
    if (quota > 0 && period > 0) return Math.max(0.001, Math.round((quota / period) * 1000) / 1000);
  }
  return null;
}

/** Quota and period of version 2 or version 1. A quota of 0 or less is none. */
function quotaOf(machine: Machine, group: string): [number, number] {
  const second = machine.readFile(`/sys/fs/cgroup${group}/cpu.max`);
  if (second !== null) {
    const [quota = "", period = ""] = second.trim().split(/\s+/);
    return [Number(quota) || 0, Number(period) || 0];
  }
  const first = (name: string) => Number(machine.readFile(`/sys/fs/cgroup/cpu${group}/${name}`) ?? 0);
  return [first("cpu.cfs_quota_us"), first("cpu.cfs_period_us")];
}

/** The control groups of this process: its own, then the one that a container shows as the root. */
function groups(machine: Machine): string[] {
  const lines = (machine.readFile("/proc/self/cgroup") ?? "").split("\n").map((line) => line.split(":"));
  const own = lines
    .filter(([id, controllers = ""]) => id === "0" || controllers.split(",").includes("cpu"))
    .map(([, , group = ""]) => group.replace(/\/$/, ""));
  return [...new Set([...own, ""])];
}

async function detectGpus(machine: Machine): Promise<Gpu[]> {
  const text = await machine.run("nvidia-smi", ["--query-gpu=uuid,name", "--format=csv,noheader"]);
  return (text ?? "").split("\n").flatMap((line) => {
    const [id = "", name = ""] = line.split(",").map((part) => part.trim());
    if (!id.startsWith("GPU-")) return [];
    const kind = gpuKind(name);
    return [kind === "" ? { id } : { id, kind }];
  });
}

/** Words of a product's name that do not name its kind: the maker, form and size. */
const NO_KIND =
  /^(nvidia|tesla|geforce|quadro|generation|laptop|gpu|graphics|device|pcie|nvl|sxm\d*|hbm\d*\w?|\d+gb)$/;

/** The usual name of a GPU: `NVIDIA A100-SXM4-80GB` is an `a100`, `NVIDIA GeForce RTX 4090` an `rtx-4090`. */
export function gpuKind(name: string): string {
  const words = name.toLowerCase().split(/[^a-z0-9.]+/);
  return words
    .filter((word) => word !== "" && !NO_KIND.test(word))
    .join("-")
    .slice(0, 32);
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** This machine. Programs are found through the worker's environment. */
export function thisMachine(environment: Readonly<Record<string, string | undefined>>): Machine {
  return {
    cores: availableParallelism,
    memoryBytes: totalmem,
    memoryLimitBytes: () => process.constrainedMemory(),
    readFile: readOrNull,
    run(program, args) {
      return new Promise((resolve) => {
        const options = {
          env: { PATH: environment.PATH },
          timeout: GPU_TIMEOUT_MS,
          encoding: "utf8",
        } as const;
        execFile(program, [...args], options, (error, stdout) => resolve(error === null ? stdout : null));
      });
    },
  };
}
