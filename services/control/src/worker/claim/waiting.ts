import { Problem } from "@towpath/contract";

/** Polls of one workspace that may wait at one process: each takes a connection and some kilobytes for as long. */
const WAITING_POLLS_MAX = 10_000;

/** Counts the polls of each workspace that wait at one process. */
export class WaitingPolls {
  readonly #most: number;
  readonly #byWorkspace = new Map<string, number>();

  constructor(most: number = WAITING_POLLS_MAX) {
    this.#most = most;
  }

  /** Lets a poll wait. @throws Problem `too-many-polls` if too many polls of the workspace wait. */
  async pass<Answer>(workspaceId: string, wait: () => Promise<Answer>): Promise<Answer> {
    const before = this.#byWorkspace.get(workspaceId) ?? 0;
    if (before >= this.#most)
      throw new Problem(
        "too-many-polls",
        `${before} polls of this workspace wait here already. Start fewer workers, and give each more places (\`capacity\`).`,
      );
    this.#byWorkspace.set(workspaceId, before + 1);
    try {
      return await wait();
    } finally {
      const left = (this.#byWorkspace.get(workspaceId) ?? 1) - 1;
      if (left === 0) this.#byWorkspace.delete(workspaceId);
      else this.#byWorkspace.set(workspaceId, left);
    }
  }
}
