import { Unhandled } from "../problem.ts";

/**
 * Listens for unhandled errors. Without it, Node would end the process before the run reports a failure.
 * @returns A function that stops listening.
 */
export function watchUnhandled(onUnhandled: (error: Unhandled) => void): () => void {
  const stops = [
    onProcess("unhandledRejection", (reason) => onUnhandled(new Unhandled("rejection", reason))),
    onProcess("uncaughtException", (error) => onUnhandled(new Unhandled("exception", error))),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

/** Process events that runs listen to. */
type ProcessEvent = "SIGINT" | "exit" | "unhandledRejection" | "uncaughtException";

type Listener = (event: unknown) => void;

const listening = new Map<ProcessEvent, { readonly all: Set<Listener>; readonly tell: Listener }>();

/**
 * Listens to a process event. All runs share one listener per event, because Node warns about a leak above ten.
 * @returns A function that stops listening.
 */
export function onProcess(event: ProcessEvent, listener: Listener): () => void {
  const { all } = listening.get(event) ?? begin(event);
  all.add(listener);
  return () => {
    all.delete(listener);
    // A second call after all have stopped must not end newer listeners.
    if (all.size === 0 && listening.get(event)?.all === all) end(event);
  };
}

function begin(event: ProcessEvent) {
  const all = new Set<Listener>();
  const tell: Listener = (event) => {
    for (const listener of [...all]) listener(event);
  };
  const begun = { all, tell };
  listening.set(event, begun);
  process.on(event, tell);
  return begun;
}

function end(event: ProcessEvent): void {
  const over = listening.get(event);
  if (over === undefined) return;
  listening.delete(event);
  process.off(event, over.tell);
}
