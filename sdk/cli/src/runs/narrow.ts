import type { Client } from "@towpath/client";
import { closest, RunStateName } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { findPool } from "../pools/find.ts";
import { findDeployment } from "./create.ts";

/** What `towpath runs ls` can be narrowed by. */
export interface RunsQuery {
  readonly state?: string | undefined;
  readonly deployment?: string | undefined;
  readonly pool?: string | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

/** A state as typed. @throws Failure that suggests the one that was probably meant. */
export function stateOf(text: string | undefined) {
  if (text === undefined) return {};
  const parsed = RunStateName.safeParse(text);
  if (parsed.success) return { state: parsed.data };
  const near = closest(text, RunStateName.options);
  throw new Failure(`"${text}" is not a state of runs.`, {
    exit: "usage",
    next: [...(near ? [`did you mean "${near}"?`] : []), `states: ${RunStateName.options.join(", ")}`],
  });
}

/** The words that narrow a list in the same way again, without limit and cursor. */
export function narrowingWords({ state, deployment, pool }: RunsQuery): string[] {
  return [
    ...(state === undefined ? [] : [state]),
    ...(deployment === undefined ? [] : ["--deployment", deployment]),
    ...(pool === undefined ? [] : ["--pool", pool]),
  ];
}

/** Why a list is empty: a name that does not exist is a Failure, else a sentence. */
export async function explainNone(client: Client, query: RunsQuery): Promise<string> {
  if (query.deployment !== undefined) await findDeployment(client, query.deployment);
  if (query.pool !== undefined) await findPool(client, query.pool);
  const words = narrowingWords(query);
  if (query.cursor !== undefined) return "no more runs";
  if (words.length === 0) return "no runs; `towpath run NAME` starts one";
  return `no run matches ${words.join(" ")}; \`towpath runs ls\` lists all`;
}
