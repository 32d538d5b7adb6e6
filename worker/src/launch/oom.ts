import { readFileSync } from "node:fs";

/** Tells whether the kernel's memory killer has struck in the worker's own control group. */
export interface OomWatch {
  /** Attributes one kill to the caller, if there was one that nobody has been given yet. */
  claimKill(): boolean;
}

/** Reads how often the memory killer struck; null where the system does not say. Replaced in tests. */
export type ReadOomKills = () => number | null;

/**
 * Watches the control group's count of memory kills from now on. A SIGKILL that nobody sent, together with a risen count, is
 * proof enough; each kill is given to one attempt only.
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

// Version 2 keeps the count in memory.events, version 1 in memory.oom_control; see the kernel's cgroup documentation.
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
