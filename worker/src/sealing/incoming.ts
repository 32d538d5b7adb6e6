import {
  type Assignment,
  type Called,
  type CheckpointPage,
  compactOf,
  deploymentNameOf,
  deploymentPartsOf,
  type ExpectedPlace,
  type FlowCall,
  type Json,
  ORIGINS,
  type OverWait,
  Problem,
  parameterOrigins,
  type RunError,
  SealError,
  type SealedField,
  type Spec,
  saysNothing,
  sealedHeaderOf,
} from "@towpath/contract";
import { Refusal } from "../trust/refusal.ts";
import type { WorkerKeyring } from "./keyring.ts";
import type { SealedRun } from "./outgoing.ts";

/** The worker has no key for a value. Another worker, or this one after a change of its configuration, may have it. */
export class NoWorkspaceKey extends Error {
  override readonly name = "NoWorkspaceKey";
  /** Whether it has other keys, so that it can run what was sealed with those. */
  readonly hasOthers: boolean;

  constructor(sentence: string, { hasOthers }: { hasOthers: boolean }) {
    super(sentence);
    this.hasOthers = hasOthers;
  }
}

const WITHOUT_KEYS =
  'The values are sealed, and this worker has no workspace key. Add "workspaceKeys" to its configuration and start it again.';

/**
 * Opens the text of a sealed value. @throws NoWorkspaceKey; Refusal `bad-seal` for a value that was moved, changed or is malformed.
 */
function openText(keyring: WorkerKeyring | null, compact: string, expected: ExpectedPlace): string {
  if (keyring === null) throw new NoWorkspaceKey(WITHOUT_KEYS, { hasOthers: false });
  try {
    return keyring.unseal(compact, expected);
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    if (error.fault === "unknown-key") throw new NoWorkspaceKey(error.message, { hasOthers: true });
    throw new Refusal("bad-seal", error.message);
  }
}

type JsonObject = { [key: string]: Json };

function openObject(keyring: WorkerKeyring | null, compact: string, expected: ExpectedPlace): JsonObject {
  const value: unknown = JSON.parse(openText(keyring, compact, expected));
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw new Refusal("bad-seal", `The sealed ${expected.field} are no object. Seal them again.`);
}

/**
 * The parameters of a run, in plain.
 * @param args.sealedOnly Whether plain parameters are refused. Empty ones say nothing.
 * @throws NoWorkspaceKey; Refusal `bad-seal` or `plain-value`.
 */
export function openParameters(
  keyring: WorkerKeyring | null,
  args: { assignment: Assignment; workspaceId: string; sealedOnly: boolean },
): Assignment["parameters"] {
  const { parameters, deployment, runId, trigger } = args.assignment;
  const compact = compactOf(parameters);
  if (compact === null) {
    if (!args.sealedOnly || saysNothing(parameters)) return parameters;
    throw new Refusal(
      "plain-value",
      "The run's parameters are not sealed, and the workspace is. Create the run with a workspace key.",
    );
  }
  return openObject(keyring, compact, {
    workspace: args.workspaceId,
    field: "parameters",
    // A flow that started the run may have named the deployment without its stage.
    deployments: [deployment, deploymentPartsOf(deployment).deployment],
    origins: parameterOrigins({ runId, trigger }),
  });
}

/** A verified spec with its sealed parts in plain. @throws NoWorkspaceKey; Refusal `bad-seal`. */
export function openSpec(keyring: WorkerKeyring | null, spec: Spec): Spec {
  const expected = (field: SealedField) => ({
    workspace: spec.workspaceId,
    field,
    deployments: [deploymentNameOf(spec)],
    origins: [ORIGINS.deployment],
  });
  const schema = compactOf(spec.parameters);
  const env = Object.entries(spec.env).map(([name, value]) => {
    const compact = compactOf(value);
    return [name, compact === null ? value : openText(keyring, compact, expected("env"))];
  });
  return {
    ...spec,
    env: Object.fromEntries(env),
    ...(schema !== null && { parameters: openObject(keyring, schema, expected("schema")) }),
  };
}

/** What answers of the control plane to one run are opened with. */
export interface AnswerOpener {
  readonly keyring: WorkerKeyring | null;
  readonly run: SealedRun;
  /** Whether plain answers are refused: the control plane could have made them up. */
  readonly sealedOnly: boolean;
}

/** A value cannot be opened. The flow hears why. */
function asProblem<Value>(open: () => Value): Value {
  try {
    return open();
  } catch (error) {
    if (error instanceof Refusal || error instanceof NoWorkspaceKey)
      throw new Problem("bad-seal", error.message);
    throw error;
  }
}

/** An error that a worker sealed for one of these origins. */
export function openError<Given extends RunError | null | undefined>(
  { keyring, run }: Pick<AnswerOpener, "keyring" | "run">,
  error: Given,
  origins: readonly string[],
): Given {
  if (error === null || error === undefined) return error;
  const open = (field: SealedField, text: string) => {
    const compact = compactOf(text);
    if (compact === null) return text;
    return asProblem(() => openText(keyring, compact, { workspace: run.workspace, field, origins }));
  };
  const stack = error.stack === undefined ? {} : { stack: open("stack", error.stack) };
  return { ...error, message: open("error", error.message), ...stack };
}

/** Where the answer of a wait may come from. */
type AnswerPlace = Pick<ExpectedPlace, "field" | "deployments" | "origins">;

/** The place of an answer to one question. */
function ofQuestion({ run }: Pick<AnswerOpener, "run">, waitId: string): AnswerPlace {
  return { field: "answer", deployments: [run.deployment], origins: [ORIGINS.wait(run.runId, waitId)] };
}

function plainAnswer(): Problem {
  return new Problem(
    "bad-seal",
    "The answer is not sealed, and the workspace is: it may be forged. Answer with a workspace key and this release or a later one.",
  );
}

/** The answer of a question, or the payload of an event. */
function openAnswer({ keyring, run, sealedOnly }: AnswerOpener, answer: Json, place: AnswerPlace): Json {
  const compact = compactOf(answer);
  if (compact === null) {
    if (!sealedOnly || saysNothing(answer)) return answer;
    throw plainAnswer();
  }
  return JSON.parse(asProblem(() => openText(keyring, compact, { ...place, workspace: run.workspace })));
}

/**
 * The control plane's answer to a call, in plain. What the flow asked for decides how it is opened: the answer could have fields of
 * another kind of wait.
 * @param args.callId The call's own id. The id in the answer may be another question's.
 * @throws Problem `bad-seal`.
 */
export function openCalled(
  opener: AnswerOpener,
  { called, callId, call }: { called: Called; callId: string; call: FlowCall["call"] },
): Called {
  if (!("waitId" in called))
    return { ...called, error: openError(opener, called.error, [ORIGINS.run(called.runId)]) };
  const { run, answer } = called;
  const asked = call.kind === "wait" ? call.wait : null;
  const open = () => {
    if (asked?.kind === "job") return openOutcome(opener, answer);
    // An empty answer can approve something too.
    const isForged = opener.sealedOnly && called.state === "satisfied" && compactOf(answer) === null;
    if (asked?.kind === "input" && isForged) throw plainAnswer();
    if (asked?.kind !== "event") return openAnswer(opener, answer, ofQuestion(opener, callId));
    const origins = [ORIGINS.event(asked.name)];
    return openAnswer(opener, answer, { field: "event", deployments: [""], origins });
  };
  return {
    ...called,
    answer: open(),
    run: run && { ...run, error: openError(opener, run.error, [ORIGINS.run(run.runId)]) },
  };
}

/** The outcome of an external job. A worker sealed the message of its error. A callback's own result cannot be trusted. */
function openOutcome(opener: AnswerOpener, answer: Json): Json {
  if (typeof answer !== "object" || answer === null || Array.isArray(answer)) return answer;
  if (opener.sealedOnly && !saysNothing(answer.value))
    throw new Problem(
      "bad-seal",
      "The job's callback has a result, which may be forged. In a sealed workspace it may only say how the job ended: let the job write its result where the flow reads it.",
    );
  const { error } = answer;
  if (typeof error !== "object" || error === null || Array.isArray(error)) return answer;
  const { name, message, stack } = error;
  if (typeof message !== "string") return answer;
  const known = {
    name: typeof name === "string" ? name : "Error",
    message,
    ...(typeof stack === "string" && { stack }),
  };
  const { stack: opened, ...rest } = openError(opener, known, [ORIGINS.run(opener.run.runId)]);
  return { ...answer, error: { ...rest, ...(opened !== undefined && { stack: opened }) } };
}

/** A page of checkpoints in plain. Those of a run before a rerun were sealed for that run. */
export function openCheckpoints(opener: AnswerOpener, page: CheckpointPage): CheckpointPage {
  const { runId } = opener.run;
  return {
    ...page,
    items: page.items.map((one) =>
      one.error === undefined
        ? one
        : { ...one, error: openError(opener, one.error, [one.own ? ORIGINS.run(runId) : "run/"]) },
    ),
    ...(page.waits && { waits: page.waits.flatMap((wait) => openOver(opener, wait)) }),
  };
}

/**
 * A wait that has ended. Nothing says for what its flow waited, so the payload of an event and a plain answer, also an empty one, are left
 * out. The flow then asks by a call, which says it.
 */
function openOver(opener: AnswerOpener, wait: OverWait): OverWait[] {
  const header = sealedHeaderOf(wait.answer);
  const isUnclear =
    header === null ? opener.sealedOnly && wait.state === "satisfied" : header.fld !== "answer";
  if (isUnclear) return [];
  return [{ ...wait, answer: openAnswer(opener, wait.answer, ofQuestion(opener, wait.waitId)) }];
}
