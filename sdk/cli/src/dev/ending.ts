import { isAlive, type ProcessIdentity } from "@towpath/contract/process";

const POLL_MS = 50;

/** Resolves to whether the process ends within a time. */
export async function endedWithin(identity: ProcessIdentity, ms: number): Promise<boolean> {
  for (let waited = 0; waited <= ms; waited += POLL_MS) {
    if (!(await isAlive(identity))) return true;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return false;
}

/** Sends a signal to a process, if it still exists. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended already.
  }
}
