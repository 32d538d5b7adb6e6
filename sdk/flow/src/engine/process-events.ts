/** What a process tells that runs listen for. */
type ProcessEvent = "SIGINT" | "exit" | "unhandledRejection" | "uncaughtException";

type Listener = (changes: unknown) => void;

const listening = new Map<ProcessEvent, { readonly all: Set<Listener>; readonly tell: Listener }>();

/**
 * Listens to the process. However many runs of it do, the process has one listener for each event: Node takes more than
 * ten for a leak and says so, in the middle of what the runs print.
 * @returns What stops listening.
 */
export function onProcess(event: ProcessEvent, listener: Listener): () => void {
  const { all } = listening.get(event) ?? begin(event);
  all.add(listener);
  return () => {
    all.delete(listener);
    // Stopped again after all had stopped, it must not end what others have begun since.
    if (all.size === 0 && listening.get(event)?.all === all) end(event);
  };
}

function begin(event: ProcessEvent) {
  const all = new Set<Listener>();
  const tell: Listener = (changes) => {
    for (const listener of [...all]) listener(changes);
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
