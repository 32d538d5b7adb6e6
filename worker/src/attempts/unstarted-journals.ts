import { rm } from "node:fs/promises";
import { join } from "node:path";
import { LIMITS } from "@towpath/contract";

/** What is known of an attempt that is over. */
interface EndedAttempt {
  readonly name: string;
  readonly assignment: object | null;
  readonly stored: { readonly launchedAtMs: number | null } | null;
}

/** Whether its code was never launched. */
export function isUnstarted({ assignment, stored }: EndedAttempt): boolean {
  // A claim without an assignment was found after a restart, and is only reported.
  return assignment !== null && (stored?.launchedAtMs ?? null) === null;
}

/**
 * The journals of assignments that never ran, because the worker refused them or gave them back. Only the newest
 * `LIMITS.unstartedJournals` stay: a control plane can send such assignments without end, and they must fill no disk and
 * displace no journal of a run.
 */
export class UnstartedJournals {
  readonly #folder: string;
  readonly #names: string[] = [];

  /** @param folder The folder of all journals. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Notes an attempt that is over, and removes the oldest journals beyond the limit.
   * @param isInUse Whether a journal of this name is open: it is looked at again later.
   */
  async ended(claimed: EndedAttempt, isInUse: (name: string) => boolean): Promise<void> {
    if (!isUnstarted(claimed)) return;
    this.#names.push(claimed.name);
    for (
      let looks = this.#names.length;
      looks > 0 && this.#names.length > LIMITS.unstartedJournals;
      looks -= 1
    ) {
      const oldest = this.#names.shift();
      if (oldest === undefined) return;
      if (isInUse(oldest)) this.#names.push(oldest);
      else await rm(join(this.#folder, oldest), { recursive: true, force: true });
    }
  }
}
