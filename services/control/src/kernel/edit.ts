import { Problem } from "@towpath/contract";

/** A change of settings, with the condition that its caller set. */
interface Edit<Mark> {
  /** Begins a sentence: `Schedule "nightly" of "orders"`. */
  readonly what: string;
  /** The field of the request that names it. @default "name" */
  readonly path?: string;
  /** The mark of the settings that the caller has read. Null: none existed. Undefined: no condition. */
  readonly read: Mark | null | undefined;
  /** The mark of the stored settings, which the caller has locked. Null: there are none. */
  readonly stored: Mark | null;
  /** Whether the stored settings are already the wanted ones. */
  readonly isSame: boolean;
}

/**
 * Checks the condition of a change of settings. The settings of a repeated request are already stored, whatever mark
 * its caller has read.
 * @returns whether something is to be written.
 * @throws Problem `edit-conflict`.
 */
export function checkEdit<Mark extends string | number>({
  what,
  path = "name",
  read,
  stored,
  isSame,
}: Edit<Mark>): boolean {
  if (read === undefined) return true;
  if (isSame) return false;
  if (read === stored) return true;
  if (stored === null)
    throw new Problem("edit-conflict", `${what} has been removed. Create it again if it is still needed.`);
  if (read !== null)
    throw new Problem("edit-conflict", `${what} has been changed by somebody else. Read it again first.`);
  const message = `${what} already exists. Choose another name, or change the existing one.`;
  throw new Problem("edit-conflict", message, { faults: [{ path, message }] });
}
