import { openHub, type Tab } from "./hub.ts";
import { type ToHub, untilGone } from "./messages.ts";

/** The part of a shared worker's scope that is used here. One program cannot have the types of workers and of pages. */
interface SharedScope {
  onconnect: ((event: MessageEvent) => void) | null;
}

/** This file only runs as a shared worker. */
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
