import type { Place } from "./batch.ts";

const ID = /^(\d{1,15})(?::(\d{1,9}):(\d{1,12}))?(?::([0-9a-f-]{36}))?$/;

/** An event's id: the place after it and the incarnation of the database that it is of, `position:attempt:line:incarnation`. */
export function idOf(place: Place, incarnation: string): string {
  return `${textOf(place)}:${incarnation}`;
}

/** A place as `position:attempt:line`. */
export function textOf({ position, log }: Place): string {
  return `${position}:${log.attempt}:${log.line}`;
}

/** The place that an event's id names, or null when it is none. */
export function placeOf(id: string | null): Place | null {
  const [, position, attempt, line] = (id === null ? null : ID.exec(id)) ?? [];
  if (position === undefined || attempt === undefined || line === undefined) return null;
  return { position: Number(position), log: { attempt: Number(attempt), line: Number(line) } };
}

/** The id of a piece of changes: the position after it and the incarnation, `position:incarnation`. */
export function changesIdOf(position: number, incarnation: string): string {
  return `${position}:${incarnation}`;
}

/** The position that the id of a piece of changes names, or null when it is none. */
export function positionOf(id: string | null): number | null {
  const [, position, attempt] = (id === null ? null : ID.exec(id)) ?? [];
  return position === undefined || attempt !== undefined ? null : Number(position);
}

/**
 * Whether an id is of this incarnation. A database that went back gives the positions that it lost to other changes, so an id of another
 * incarnation names nothing. One of an earlier release does not say.
 */
export function isOf(incarnation: string, id: string | null): boolean {
  const said = id === null ? undefined : ID.exec(id)?.[4];
  return said === undefined || said === incarnation;
}
