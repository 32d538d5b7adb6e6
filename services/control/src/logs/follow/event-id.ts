import type { FollowCursor } from "./batch.ts";

const ID = /^(\d{1,15})(?::(\d{1,9}):(\d{1,12}))?(?::([0-9a-f-]{36}))?$/;

/** An event's id: the cursor after it and the database's incarnation, `position:attempt:line:incarnation`. */
export function idOf(cursor: FollowCursor, incarnation: string): string {
  return `${textOf(cursor)}:${incarnation}`;
}

/** A cursor as `position:attempt:line`. */
export function textOf({ position, log }: FollowCursor): string {
  return `${position}:${log.attempt}:${log.line}`;
}

/** The cursor in an event's id, or null if the text is no such id. */
export function cursorOf(id: string | null): FollowCursor | null {
  const [, position, attempt, line] = (id === null ? null : ID.exec(id)) ?? [];
  if (position === undefined || attempt === undefined || line === undefined) return null;
  return { position: Number(position), log: { attempt: Number(attempt), line: Number(line) } };
}

/** The position in the id of a summary of changes, or null if the text is no such id. */
export function positionOf(id: string | null): number | null {
  const [, position, attempt] = (id === null ? null : ID.exec(id)) ?? [];
  return position === undefined || attempt !== undefined ? null : Number(position);
}

/**
 * Whether an id is of this incarnation. A restored database gives lost positions to other changes, so an id of another
 * incarnation means nothing. An id of an earlier release has no incarnation and is accepted.
 */
export function isOf(incarnation: string, id: string | null): boolean {
  const own = id === null ? undefined : ID.exec(id)?.[4];
  return own === undefined || own === incarnation;
}
