import type { Client } from "@towpath/client";
import { Id, LIMITS } from "@towpath/contract";
import { Failure } from "../failure.ts";

/** The least of an id that stands for it: what the dashboard's lists show. */
const PREFIX_PATTERN = /^[0-9a-f-]{8,35}$/;
/** How many pages of the newest runs are searched for the rest of an id. */
const PAGES_MAX = 5;
/** How many runs are named when several could be meant. */
const NAMED_MAX = 5;

/** A run's id as typed in full. @throws Failure when it cannot be one. */
export function runIdOf(text: string): string {
  const parsed = Id.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new Failure(`"${text}" is not a run's id.`, {
    exit: "usage",
    next: [
      "an id reads like 0193a0b1-7c00-7000-8000-000000000001; `towpath runs ls` lists them",
      "its first eight characters will do for one of the newest runs",
    ],
  });
}

/**
 * The id of a run, from all of it or its first eight characters or more. Only the newest runs are searched.
 * @throws Failure when none or more than one begins like that.
 */
export async function findRunId(client: Client, text: string): Promise<string> {
  const prefix = text.toLowerCase();
  if (!PREFIX_PATTERN.test(prefix)) return runIdOf(text);
  const found: string[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const query = { limit: LIMITS.pageRows, ...(cursor === undefined ? {} : { cursor }) };
    const page = await client.listRuns({ query });
    for (const { id } of page.items) if (id.startsWith(prefix)) found.push(id);
    if (page.next === null) break;
    cursor = page.next;
  }
  const [only, ...others] = found;
  if (only === undefined)
    throw new Failure(`None of the newest runs has an id that begins with "${text}".`, {
      exit: "notFound",
      code: "run-not-found",
      next: ["`towpath runs ls` lists the newest runs; an older one needs its whole id"],
    });
  if (others.length === 0) return only;
  throw new Failure(`${found.length} runs have an id that begins with "${text}".`, {
    exit: "usage",
    code: "run-ambiguous",
    next: [
      `give more of it: ${found.slice(0, NAMED_MAX).join(", ")}${found.length > NAMED_MAX ? ", …" : ""}`,
    ],
  });
}
