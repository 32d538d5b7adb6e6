import { AsyncLocalStorage } from "node:async_hooks";

/** On whose behalf reads are made: a workspace. Streams that serve many at once have none. */
const reader = new AsyncLocalStorage<string>();

/** Does something whose reads count as this workspace's. */
export function readingFor<T>(workspaceId: string, work: () => T): T {
  return reader.run(workspaceId, work);
}

/** A workspace that reads or waits for its turn. */
interface Party {
  reading: number;
  readonly waiting: (() => void)[];
}

/**
 * Turns for the connections that people's reads share. A returned turn goes to the waiting workspace that reads least,
 * so that one whose reads are slow or many takes at most its share while others wait.
 */
export class ReadTurns {
  readonly #parties = new Map<string, Party>();
  #free: number;

  constructor(places: number) {
    this.#free = places;
  }

  /** Waits for a turn, does the work and gives the turn back. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const name = reader.getStore() ?? "";
    const party = this.#parties.get(name) ?? { reading: 0, waiting: [] };
    this.#parties.set(name, party);
    if (this.#free > 0) {
      this.#free -= 1;
      party.reading += 1;
    } else await new Promise<void>((resolve) => party.waiting.push(resolve));
    try {
      return await work();
    } finally {
      party.reading -= 1;
      if (party.reading === 0 && party.waiting.length === 0) this.#parties.delete(name);
      this.#passOn();
    }
  }

  #passOn(): void {
    let next: Party | null = null;
    for (const party of this.#parties.values())
      if (party.waiting.length > 0 && (next === null || party.reading < next.reading)) next = party;
    const start = next?.waiting.shift();
    if (next === null || start === undefined) {
      this.#free += 1;
      return;
    }
    next.reading += 1;
    start();
  }
}
