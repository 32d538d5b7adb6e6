import { AsyncLocalStorage } from "node:async_hooks";

/** The workspace that reads belong to. Streams for several workspaces have none. */
const reader = new AsyncLocalStorage<string>();

/** Does work whose reads belong to this workspace. */
export function readingFor<T>(workspaceId: string, work: () => T): T {
  return reader.run(workspaceId, work);
}

/** The reads of a workspace: those in progress and those that wait. */
interface Reads {
  reading: number;
  readonly waiting: (() => void)[];
}

/**
 * A fair semaphore for the connections that people's reads share. A free connection goes to the waiting workspace with the
 * fewest reads in progress. So a workspace with slow or many reads takes at most its share while others wait.
 */
export class ReadTurns {
  readonly #byWorkspace = new Map<string, Reads>();
  #free: number;

  constructor(connections: number) {
    this.#free = connections;
  }

  /** Waits for a connection, does the work and frees the connection. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const name = reader.getStore() ?? "";
    const own = this.#byWorkspace.get(name) ?? { reading: 0, waiting: [] };
    this.#byWorkspace.set(name, own);
    if (this.#free > 0) {
      this.#free -= 1;
      own.reading += 1;
    } else await new Promise<void>((resolve) => own.waiting.push(resolve));
    try {
      return await work();
    } finally {
      own.reading -= 1;
      if (own.reading === 0 && own.waiting.length === 0) this.#byWorkspace.delete(name);
      this.#passOn();
    }
  }

  #passOn(): void {
    let next: Reads | null = null;
    for (const own of this.#byWorkspace.values())
      if (own.waiting.length > 0 && (next === null || own.reading < next.reading)) next = own;
    const start = next?.waiting.shift();
    if (next === null || start === undefined) {
      this.#free += 1;
      return;
    }
    next.reading += 1;
    start();
  }
}
