import type { FromHub, Hear, Line, ToHub } from "./messages.ts";
import { liveAs } from "./tab-lock.ts";

/** A link to a hub in a shared worker, which lives as long as any tab does. */
function workerLine(tab: string, hear: Hear): Line {
  const worker = new SharedWorker(new URL("./shared-worker.ts", import.meta.url), {
    type: "module",
    name: "towpath-live",
  });
  worker.port.onmessage = ({ data }: MessageEvent<FromHub>) => hear(data);
  liveAs(tab);
  return { say: (message) => worker.port.postMessage(message) };
}

/**
 * A link for browsers without shared workers, loaded when it is needed. Until then only the last message is kept: it
 * replaces the earlier ones.
 */
function loadedLine(tab: string, hear: Hear): Line {
  let last: ToHub | null = null;
  let line: Line | null = null;
  void import("./elected.ts").then(({ openElected }) => {
    line = openElected(tab, hear);
    if (last !== null) line.say(last);
  });
  return {
    say(message) {
      last = message;
      line?.say(message);
    },
  };
}

/** Opens the best link that this browser supports. Messages arrive later, never during the call. */
export function openLine(tab: string, hear: Hear): Line {
  return typeof SharedWorker === "function" ? workerLine(tab, hear) : loadedLine(tab, hear);
}
