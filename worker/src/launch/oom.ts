import { readFileSync } from "node:fs";

/** Knows whether the kernel has killed a process of the worker's control group for want of memory. */
export interface OomWatch {
  /** Attributes one kill to the caller, if there is one that no attempt has. */
  claimKill(): boolean;
}

/** Reads how often the kernel killed for memory; null where the system does not say. Tests replace it. */
export type ReadOomKills = () => number | null;

/**
 * Watches the control group's count of memory kills from now on. A SIGKILL that the worker did not send, with a
 * risen count, is proof enough. Each kill goes to one attempt.
 */
export function watchOom(read: ReadOomKills = readOomKills): OomWatch {
  let given = read() ?? 0;
  return {
    claimKill() {
      const seen = read();
      if (seen === null || seen <= given) return false;
      given += 1;
      return true;
    },
  };
}

// Version 2 has the count in memory.events, version 1 in memory.oom_control. See the kernel's cgroup documentation.
function readOomKills(): number | null {
  for (const path of eventFiles()) {
    const text = readOrEmpty(path);
    const count = /^oom_kill (\d+)$/m.exec(text)?.[1];
    if (count !== undefined) return Number(count);
  }
  return null;
}

function eventFiles(): string[] {
  const files: string[] = [];
  for (const line of readOrEmpty("/proc/self/cgroup").split("\n")) {
    const [id, controllers = "", group = ""] = line.split(":");
    if (id === "0") files.push(`/sys/fs/cgroup${group}/memory.events`);
    if (controllers.split(",").includes("memory"))
      files.push(`/sys/fs/cgroup/memory${group}/memory.oom_control`);
  }
  return files;
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
