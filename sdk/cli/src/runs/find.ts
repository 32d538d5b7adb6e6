import type { Client } from "@towpath/client";
import { Id, LIMITS } from "@towpath/contract";
import { Failure } from "../failure.ts";

/** A part of an id. */
const PART_PATTERN = /^[0-9a-f-]{6,35}$/;
/** An id starts with a time, so its start must be longer than its random end to be unique. */
const BEGINNING_MIN = 8;
/** At most this many pages of the newest runs are searched. */
const PAGES_MAX = 5;
/** At most this many matching runs are named. */
const NAMED_MAX = 5;

/**
 * Reads a run's id, or a part of one, in lower case.
 * @throws Failure if it is neither.
 */
export function typedRun(text: string): { readonly id: string } | { readonly part: string } {
  const part = text.toLowerCase();
  if (PART_PATTERN.test(part)) return { part };
  const parsed = Id.safeParse(text);
  if (parsed.success) return { id: parsed.data };
  throw new Failure(`"${text}" is not a run's id.`, {
    exit: "usage",
    next: [
      "an id looks like 0193a0b1-7c00-7000-8000-000000000001; `towpath runs ls` lists them",
      "the last eight characters are enough",
    ],
  });
}

function isMeant(id: string, part: string): boolean {
  return id.endsWith(part) || (part.length >= BEGINNING_MIN && id.startsWith(part));
}

/** A run whose id matches. */
interface Candidate {
  readonly id: string;
  readonly deployment?: string;
}

/** The id of the only match, or null for none. @throws Failure `run-ambiguous` that names several. */
export function onlyRun(text: string, found: readonly Candidate[]): string | null {
  if (found.length <= 1) return found[0]?.id ?? null;
  const more = found.length - NAMED_MAX;
  throw new Failure(`${found.length} runs have an id that starts or ends with "${text}".`, {
    exit: "usage",
    code: "run-ambiguous",
    next: [
      "give more of the id; it matches:",
      ...found
        .slice(0, NAMED_MAX)
        .map(({ id, deployment }) => `  ${id}${deployment === undefined ? "" : ` ${deployment}`}`),
      ...(more > 0 ? [`  and ${more} more`] : []),
    ],
  });
}

/** Runs of any age whose id matches. The search also finds names that contain the text. */
async function olderRuns(client: Client, part: string): Promise<Candidate[]> {
  const { items } = await client.listRuns({ query: { text: part, limit: LIMITS.pageRows } });
  return items.filter(({ id }) => isMeant(id, part)).map(({ id, deployment }) => ({ id, deployment }));
}

/**
 * Finds a run by its whole id, its end (six characters or more) or its start (eight or more). Searches the newest
 * runs first.
 * @throws Failure if no run or several runs match; `run-ambiguous` names them.
 */
export async function findRunId(client: Client, text: string): Promise<string> {
  const typed = typedRun(text);
  if ("id" in typed) return typed.id;
  const found: Candidate[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const query = { limit: LIMITS.pageRows, ...(cursor === undefined ? {} : { cursor }) };
    const page = await client.listRuns({ query });
    for (const { id, deployment } of page.items) if (isMeant(id, typed.part)) found.push({ id, deployment });
    if (page.next === null) break;
    cursor = page.next;
  }
  const only = onlyRun(text, found) ?? onlyRun(text, await olderRuns(client, typed.part));
  if (only !== null) return only;
  throw new Failure(`No run has an id that starts or ends with "${text}".`, {
    exit: "notFound",
    code: "run-not-found",
    next: ["`towpath runs ls` lists the newest runs"],
  });
}
