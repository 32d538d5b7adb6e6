import { openHub } from "./host.ts";
import type { Tab } from "./hub.ts";
import type { ToHub } from "./messages.ts";
import { untilGone } from "./tab-lock.ts";

/** What of a shared worker's scope is used here; the types of workers and of pages cannot be had in one program. */
interface SharedScope {
  onconnect: ((event: MessageEvent) => void) | null;
}

/** The scope in which this file runs: it is only ever opened as a shared worker. */
const scope = globalThis as unknown as SharedScope;
const hub = openHub();

scope.onconnect = ({ ports }) => {
  const [port] = ports;
  if (port === undefined) return;
  const tab: Tab = { post: (message) => port.postMessage(message) };
  let known = false;
  port.onmessage = ({ data }: MessageEvent<ToHub>) => {
    hub.hear(tab, data);
    if (known || data.type === "bye") return;
    known = true;
    untilGone(data.tab, () => hub.leave(tab));
  };
};
