import type { Client } from "@towpath/client";
import { closest, RunStateName } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { findPool } from "../pools/find.ts";
import { findDeployment } from "./create.ts";

/** The filters of `towpath runs ls`. */
export interface RunsQuery {
  readonly state?: string | undefined;
  readonly deployment?: string | undefined;
  readonly pool?: string | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

/** Parses a state. @throws Failure that suggests a similar one. */
export function stateOf(text: string | undefined) {
  if (text === undefined) return {};
  const parsed = RunStateName.safeParse(text);
  if (parsed.success) return { state: parsed.data };
  const near = closest(text, RunStateName.options);
  throw new Failure(`"${text}" is not a state of a run.`, {
    exit: "usage",
    next: [...(near ? [`did you mean "${near}"?`] : []), `states: ${RunStateName.options.join(", ")}`],
  });
}

/** The filters as command-line arguments, without limit and cursor. */
export function narrowingWords({ state, deployment, pool }: RunsQuery): string[] {
  return [
    ...(state === undefined ? [] : [state]),
    ...(deployment === undefined ? [] : ["--deployment", deployment]),
    ...(pool === undefined ? [] : ["--pool", pool]),
  ];
}

/** Explains an empty list in a sentence. @throws Failure if a filter names something that does not exist. */
export async function explainNone(client: Client, query: RunsQuery): Promise<string> {
  if (query.deployment !== undefined) await findDeployment(client, query.deployment);
  if (query.pool !== undefined) await findPool(client, query.pool);
  const words = narrowingWords(query);
  if (query.cursor !== undefined) return "no more runs";
  if (words.length === 0) return "no runs; `towpath run NAME` starts one";
  return `no run matches ${words.join(" ")}; \`towpath runs ls\` lists all`;
}
