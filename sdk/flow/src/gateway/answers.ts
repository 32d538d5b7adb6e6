import type {
  CalledRun,
  CalledWait,
  CheckpointPage,
  Context,
  FlowCommands,
  RecordsAnswer,
  StoredAnswer,
} from "@towpath/contract";
import { GatewayRefused } from "../problem.ts";

/** Fields that an answer must have, by the names of their types. */
type Shape = Readonly<Record<string, "string" | "number" | "boolean" | "object" | "array">>;

const CONTEXT: Shape = {
  runId: "string",
  attemptId: "string",
  attempt: "number",
  workspaceId: "string",
  deployment: "string",
  version: "number",
  parameters: "object",
  scheduledAt: "string",
  secrets: "object",
  store: "object",
  resume: "object",
  acked: "number",
};
const RECORDS: Shape = { acked: "number", rejected: "array" };
const COMMANDS: Shape = { revision: "number" };
const CHECKPOINTS: Shape = { items: "array" };
const STORED: Shape = { stored: "boolean" };
const CALLED_RUN: Shape = { runId: "string", state: "string" };
const CALLED_WAIT: Shape = { waitId: "string", state: "string" };

function has(body: object, field: string, type: Shape[string]): boolean {
  const value: unknown = Object.getOwnPropertyDescriptor(body, field)?.value;
  if (type === "array") return Array.isArray(value);
  return type === "object" ? typeof value === "object" && value !== null : typeof value === type;
}

function check(body: unknown, what: string, shape: Shape): object {
  if (typeof body !== "object" || body === null)
    throw new GatewayRefused(`The gateway's ${what} is not an object.`);
  for (const [field, type] of Object.entries(shape))
    if (!has(body, field, type)) throw new GatewayRefused(`The gateway's ${what} lacks ${field} (${type}).`);
  return body;
}

// The flow process does not load the schema library, because loading it takes too long. The worker validates with the
// full schemas. The functions below check the fields that are used.

/** The answer to `GET /context`. */
export function readContext(body: unknown): Context {
  return check(body, "context", CONTEXT) as Context;
}

/** The answer to `POST /records`. */
export function readRecordsAnswer(body: unknown): RecordsAnswer {
  return check(body, "answer to records", RECORDS) as RecordsAnswer;
}

/** The answer to `GET /commands`. */
export function readCommands(body: unknown): FlowCommands {
  return check(body, "commands", COMMANDS) as FlowCommands;
}

/** The answer to `GET /checkpoints`. */
export function readCheckpoints(body: unknown): CheckpointPage {
  return check(body, "answer to checkpoints", CHECKPOINTS) as CheckpointPage;
}

/** The answer to `GET /stored`. */
export function readStored(body: unknown): StoredAnswer {
  return check(body, "answer to stored", STORED) as StoredAnswer;
}

/** The answer to `POST /calls` that start a run or ask about one. */
export function readCalledRun(body: unknown): CalledRun {
  return check(body, "answer to a call", CALLED_RUN) as CalledRun;
}

/** The answer to `POST /calls` of kind `wait`. */
export function readCalledWait(body: unknown): CalledWait {
  return check(body, "answer to a wait", CALLED_WAIT) as CalledWait;
}
