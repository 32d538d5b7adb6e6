import {
  type ExpectedPlace,
  type MarkedValue,
  ORIGINS,
  parameterOrigins,
  type SealedHeader,
  Trigger,
} from "@towpath/contract";
import type { LooseInput } from "../loose-input.ts";

type Holder = Readonly<Record<string, unknown>>;

function isHolder(value: unknown): value is Holder {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The objects that hold a value, the innermost first. */
function holdersOf(answer: unknown, { path }: MarkedValue): Holder[] {
  const holders: Holder[] = [];
  let part: unknown = answer;
  for (const key of path) {
    if (isHolder(part)) holders.unshift(part);
    part = Reflect.get(Object(part), key);
  }
  return holders;
}

const isText = (value: unknown): value is string => typeof value === "string";

/** Whether an object is a run, in a list or whole. */
const isRun = (one: Holder) => isText(one.id) && isText(one.deployment) && "trigger" in one;
/** Whether an object is a schedule. */
const isSchedule = (one: Holder) => isText(one.name) && isText(one.deployment) && "timing" in one;
/** Whether an object is a deployment. */
const isDeployment = (one: Holder) => isText(one.name) && "latest" in one;
/** Whether an object is a wait of a run. */
const isWait = (one: Holder) => isText(one.id) && isText(one.runId) && "who" in one;

/** The run that an answer's part is about: from the objects that hold it, else from the request. */
function runOf(
  holders: readonly Holder[],
  input: LooseInput,
): { runId: string; deployment: string | null } | null {
  for (const one of holders) {
    if (isRun(one)) return { runId: String(one.id), deployment: String(one.deployment) };
    if (isText(one.runId))
      return { runId: one.runId, deployment: isText(one.deployment) ? one.deployment : null };
  }
  const runId = input.params?.runId;
  return isText(runId) ? { runId, deployment: null } : null;
}

function originsIn(holders: readonly Holder[], args: { runId: string; header: SealedHeader }): string[] {
  const { runId, header } = args;
  const [inner] = holders;
  const run = holders.find(isRun);
  if (header.fld === "event") return ["event/"];
  if (header.fld === "answer" && inner !== undefined && isWait(inner))
    return [ORIGINS.wait(runId, String(inner.id))];
  if (header.fld !== "parameters") return [ORIGINS.run(runId)];
  const trigger = Trigger.safeParse(run?.trigger);
  return trigger.success ? parameterOrigins({ runId, trigger: trigger.data }) : [ORIGINS.run(runId)];
}

/**
 * Where a value of an answer may have been sealed for. Null: nothing says to what the value belongs, so it cannot be checked.
 * @param args.header Says whether the answer of a wait is an event's payload. Its place is checked afterwards.
 */
export function placeInAnswer(
  answer: unknown,
  args: { marked: MarkedValue; input: LooseInput; workspace: string; header: SealedHeader },
): ExpectedPlace | null {
  const { marked, input, workspace, header } = args;
  const holders = holdersOf(answer, marked);
  const [inner] = holders;
  const isEvent = marked.field === "answer" && header.fld === "event" && inner?.kind === "event";
  const field = isEvent ? "event" : marked.field;
  const schedule = holders.find(isSchedule);
  if (schedule !== undefined)
    return {
      workspace,
      field,
      deployments: [String(schedule.deployment)],
      origins: [ORIGINS.schedule(String(schedule.name))],
    };
  const deployment = holders.find(isDeployment);
  if (deployment !== undefined)
    return { workspace, field, deployments: [String(deployment.name)], origins: [ORIGINS.deployment] };
  const run = runOf(holders, input);
  if (run === null) return null;
  // A flow that started the run may have named the deployment without its stage.
  const deployments =
    run.deployment === null || isEvent ? undefined : [run.deployment, run.deployment.replace(/@.*$/, "")];
  return { workspace, field, deployments, origins: originsIn(holders, { runId: run.runId, header }) };
}
