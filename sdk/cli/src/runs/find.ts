import type { Client } from "@towpath/client";
import { Id, LIMITS } from "@towpath/contract";
import { Failure } from "../failure.ts";

/** What may be part of an id. */
const PART_PATTERN = /^[0-9a-f-]{6,35}$/;
/** The least of an id's beginning that stands for it: its end is random, its beginning a time. */
const BEGINNING_MIN = 8;
/** How many pages of the newest runs are searched for the rest of an id. */
const PAGES_MAX = 5;
/** How many runs are named when several could be meant. */
const NAMED_MAX = 5;

/**
 * What was typed for a run: all of its id, or a part of one, in lower case.
 * @throws Failure when it can be neither.
 */
export function typedRun(text: string): { readonly id: string } | { readonly part: string } {
  const part = text.toLowerCase();
  if (PART_PATTERN.test(part)) return { part };
  const parsed = Id.safeParse(text);
  if (parsed.success) return { id: parsed.data };
  throw new Failure(`"${text}" is not a run's id.`, {
    exit: "usage",
    next: [
      "an id reads like 0193a0b1-7c00-7000-8000-000000000001; `towpath runs ls` lists them",
      "its last eight characters will do for one of the newest runs",
    ],
  });
}

function isMeant(id: string, part: string): boolean {
  return id.endsWith(part) || (part.length >= BEGINNING_MIN && id.startsWith(part));
}

/** A run whose id was perhaps meant. */
interface Candidate {
  readonly id: string;
  readonly deployment?: string;
}

/** The id of the one that is left, or null for none. @throws Failure `run-ambiguous`, which names several. */
export function onlyRun(text: string, found: readonly Candidate[]): string | null {
  if (found.length <= 1) return found[0]?.id ?? null;
  const more = found.length - NAMED_MAX;
  throw new Failure(`${found.length} runs have an id that ends or begins with "${text}".`, {
    exit: "usage",
    code: "run-ambiguous",
    next: [
      "give its end, or more of it; it could be:",
      ...found
        .slice(0, NAMED_MAX)
        .map(({ id, deployment }) => `  ${id}${deployment === undefined ? "" : ` ${deployment}`}`),
      ...(more > 0 ? [`  and ${more} more`] : []),
    ],
  });
}

/**
 * The id of a run, from all of it, its end (six characters or more) or its beginning (eight or more). Only the newest runs
 * are searched.
 * @throws Failure when none or more than one can be meant; `run-ambiguous` names them.
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
  const only = onlyRun(text, found);
  if (only !== null) return only;
  throw new Failure(`None of the newest runs has an id that ends or begins with "${text}".`, {
    exit: "notFound",
    code: "run-not-found",
    next: ["`towpath runs ls` lists the newest runs; an older one needs its whole id"],
  });
}
