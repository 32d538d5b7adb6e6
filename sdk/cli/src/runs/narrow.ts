import type { Client } from "@towpath/client";
import { closest, RunStateName, shellWord } from "@towpath/contract";
import { findDeployment } from "../deployments/find.ts";
import { Failure } from "../failure.ts";
import { findPool } from "../pools/find.ts";
import { nearInstantOf } from "../schedules/timing.ts";

/** The filters of `towpath runs ls`. */
export interface RunsQuery {
  readonly state?: string | undefined;
  readonly deployment?: string | undefined;
  readonly stage?: string | undefined;
  readonly pool?: string | undefined;
  readonly tag?: string | undefined;
  /** A part of the deployment's name, the run's name or its id. */
  readonly text?: string | undefined;
  /** A time in ISO 8601, or a duration before now such as `2h`. */
  readonly since?: string | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
  /** The number of a page, from 1. */
  readonly page?: number | undefined;
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

/** The filters as the list's route takes them, without limit and cursor. @throws Failure for one that is not valid. */
export function runQueryOf({ state, deployment, stage, pool, tag, text, since }: RunsQuery, nowMs: number) {
  return {
    ...stateOf(state),
    ...(deployment === undefined ? {} : { deployment }),
    ...(stage === undefined ? {} : { stage }),
    ...(pool === undefined ? {} : { pool }),
    ...(tag === undefined ? {} : { tag }),
    ...(text === undefined ? {} : { text }),
    ...(since === undefined
      ? {}
      : { from: nearInstantOf("--since", { text: since, nowMs, direction: "ago" }) }),
  };
}

/** The filters as command-line arguments, without limit and cursor. */
export function narrowingWords({ state, deployment, stage, pool, tag, text, since }: RunsQuery): string[] {
  const options = {
    "--deployment": deployment,
    "--stage": stage,
    "--pool": pool,
    "--tag": tag,
    "--text": text,
    "--since": since,
  };
  return [
    ...(state === undefined ? [] : [state]),
    ...Object.entries(options).flatMap(([name, value]) =>
      value === undefined ? [] : [name, shellWord(value)],
    ),
  ];
}

/** Explains an empty list in a sentence. @throws Failure if a filter names something that does not exist. */
export async function explainNone(client: Client, query: RunsQuery, what = "run"): Promise<string> {
  if (query.deployment !== undefined) await findDeployment(client, query.deployment);
  if (query.pool !== undefined) await findPool(client, query.pool);
  const words = narrowingWords(query);
  if (query.cursor !== undefined) return "no more runs";
  if (words.length === 0) return "no runs; `towpath run NAME` starts one";
  return `no ${what} matches ${words.join(" ")}; \`towpath runs ls\` lists all`;
}
