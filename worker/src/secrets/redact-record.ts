import { createHash } from "node:crypto";
import {
  type AskedWait,
  type BulkRecord,
  type ControlRecord,
  type JobChange,
  type Json,
  LIMITS,
  type LogLine,
  type Ref,
  type RunError,
  type Upstream,
} from "@towpath/contract";
import { type Redactor, redactAndCut, redactWhole } from "./redact.ts";

/** A record before the journal numbers it. */
export type Unnumbered<Record> = Record extends unknown ? Omit<Record, "seq"> : never;

/** Limits of free texts on the wire, characters. A mark may be longer than the secret that it replaces. */
const CHARS = {
  path: 1024,
  /** A path, and the number of a try. */
  key: 1100,
  name: 200,
  version: 64,
  uri: 2048,
  reason: 500,
  unit: 32,
  linkText: 500,
} as const;

/** Redacts and keeps within a limit. */
function free(redactor: Redactor, text: string, mostChars: number): string {
  return redactor.text(text).slice(0, mostChars).toWellFormed();
}

/** How many characters of a hash tell two cut texts apart. */
const CUT_HASH_CHARS = 12;

/**
 * Redacts a text that is compared, always in the same way. A text that became too long ends in a hash of its
 * redacted form, so that two different texts stay different.
 */
function identity(redactor: Redactor, text: string, mostChars: number): string {
  const clean = redactor.text(text);
  if (clean.length <= mostChars) return clean;
  const hash = createHash("sha256").update(clean).digest("hex").slice(0, CUT_HASH_CHARS);
  return `${clean.slice(0, mostChars - hash.length - 1).toWellFormed()}~${hash}`;
}

/** Redacts all free texts of a control record: messages, names, paths and uris. */
export function redactControl(
  redactor: Redactor,
  record: Unnumbered<ControlRecord>,
): Unnumbered<ControlRecord> {
  switch (record.type) {
    case "started":
    case "stage":
      return record;
    case "released":
      return { ...record, reason: free(redactor, record.reason, LIMITS.messageChars) };
    case "task":
      return {
        ...record,
        path: redactPath(redactor, record.path),
        name: free(redactor, record.name, CHARS.name),
        ...(record.codeVersion !== undefined && {
          codeVersion: free(redactor, record.codeVersion, CHARS.version),
        }),
        ...(record.upstream !== undefined && { upstream: redactUpstream(redactor, record.upstream) }),
        ...ending(redactor, record),
      };
    case "run-name":
      return { ...record, name: free(redactor, record.name, CHARS.name) || "…" };
    case "kept":
      return { ...record, path: redactPath(redactor, record.path), ...ending(redactor, record) };
    case "ended":
      return {
        ...record,
        ...redactPaths(redactor, record),
        ...ending(redactor, record),
      };
  }
}

/** Redacts all free texts of a bulk record: lines, titles, keys and bodies. */
export function redactBulk(redactor: Redactor, record: Unnumbered<BulkRecord>): Unnumbered<BulkRecord> {
  switch (record.type) {
    case "gap":
      return { ...record, reason: free(redactor, record.reason, CHARS.reason) };
    case "log":
      return { ...record, lines: record.lines.map((line) => redactLine(redactor, line)) };
    case "artifact":
      return {
        ...record,
        key: identity(redactor, record.key, CHARS.name),
        title: free(redactor, record.title, CHARS.name),
        task: record.task === null ? null : redactPath(redactor, record.task),
        body: redactBody(redactor, record.body),
      };
  }
}

function redactLine(redactor: Redactor, line: LogLine): LogLine {
  const text = redactWhole(redactor, line.text);
  return line.task === undefined
    ? { ...line, text }
    : { ...line, text, task: redactPath(redactor, line.task) };
}

function ending(redactor: Redactor, record: { error?: RunError | undefined; result?: Ref | undefined }) {
  return {
    ...(record.error && { error: redactError(redactor, record.error) }),
    ...(record.result && { result: redactRef(redactor, record.result) }),
  };
}

/** Replaces a codec that contains a secret. No reader knows it. */
const REDACTED_CODEC = "redacted";

/** Redacts the address and the codec of a ref. */
export function redactRef(redactor: Redactor, ref: Ref): Ref {
  const codec = free(redactor, ref.codec, ref.codec.length) === ref.codec ? ref.codec : REDACTED_CODEC;
  return { ...ref, uri: free(redactor, ref.uri, CHARS.uri), codec };
}

/** Redacts a path, always in the same way, so that it is recognized. */
export function redactPath(redactor: Redactor, path: string): string {
  return identity(redactor, redactor.hide?.(path) ?? path, CHARS.path);
}

/** Redacts the paths of a call's producers like the paths of those calls. */
function redactUpstream(redactor: Redactor, upstream: Upstream): Upstream {
  return { ...upstream, paths: upstream.paths.map((path) => redactPath(redactor, path)) };
}

/** Redacts the key under which a try of a task has slots. */
export function redactKey(redactor: Redactor, key: string): string {
  return identity(redactor, key, CHARS.key);
}

/** Redacts the paths with which an attempt ends. */
export function redactPaths(
  redactor: Redactor,
  { waits, failedBy }: { waits?: readonly string[] | undefined; failedBy?: readonly string[] | undefined },
): { waits?: string[]; failedBy?: string[] } {
  const below = (path: string) => `${redactPath(redactor, path.slice(0, -1))}/`;
  return {
    ...(waits && { waits: waits.map((path) => redactPath(redactor, path)) }),
    ...(failedBy && {
      failedBy: failedBy.map((path) => (path.endsWith("/") ? below(path) : redactPath(redactor, path))),
    }),
  };
}

/** Redacts what a flow asks people: the title, and the schema of the answer. Fields that are compared stay. */
export function redactWait(redactor: Redactor, wait: AskedWait): AskedWait {
  if (wait.kind !== "input" && wait.kind !== "event") return wait;
  if (wait.schema === undefined) return wait;
  const fields = Object.entries(wait.schema).map(([key, value]) => [
    redactor.text(key),
    redactJson(redactor, value),
  ]);
  const schema = Object.fromEntries(fields);
  return wait.kind === "event"
    ? { ...wait, schema }
    : { ...wait, title: free(redactor, wait.title, CHARS.name), schema };
}

/** Redacts an error, then cuts it to the wire's limits. */
export function redactError(redactor: Redactor, error: RunError): RunError {
  return {
    name: redactAndCut(redactor, error.name, CHARS.name),
    message: redactAndCut(redactor, error.message, LIMITS.messageChars),
    ...(error.stack !== undefined && { stack: redactAndCut(redactor, error.stack, LIMITS.errorStackChars) }),
  };
}

/** Redacts changes of an external job. */
export function redactJobChange(redactor: Redactor, change: JobChange): JobChange {
  switch (change.type) {
    case "polled":
      return { ...change, says: free(redactor, change.says, LIMITS.jobSaysChars) };
    case "stumbled":
      return { ...change, detail: redactAndCut(redactor, change.detail, LIMITS.messageChars) };
    case "ended":
      return { ...change, outcome: redactOutcome(redactor, change.outcome) };
    case "cancelled":
    case "released":
    case "left":
      return change;
  }
}

type Outcome = Extract<JobChange, { type: "ended" }>["outcome"];

function redactOutcome(redactor: Redactor, outcome: Outcome): Outcome {
  if (outcome.outcome === "failed") return { ...outcome, error: redactError(redactor, outcome.error) };
  return { ...outcome, result: outcome.result && redactRef(redactor, outcome.result) };
}

type Body = Extract<BulkRecord, { type: "artifact" }>["body"];

function redactBody(redactor: Redactor, body: Body): Body {
  switch (body.kind) {
    case "markdown":
      return { ...body, text: redactor.text(body.text) };
    case "table":
      return {
        ...body,
        columns: body.columns.map((column) => free(redactor, column, CHARS.name)),
        rows: body.rows.map((row) => row.map((cell) => redactJson(redactor, cell))),
      };
    case "progress":
      return { ...body, unit: free(redactor, body.unit, CHARS.unit) };
    case "image":
      return { ...body, base64: redactor.text(body.base64) };
    case "link":
      return { ...body, url: redactor.text(body.url), text: free(redactor, body.text, CHARS.linkText) };
    case "sealed":
      return { ...body, sealed: redactor.text(body.sealed) };
    case "stored":
      // The worker made it, of a body without secrets.
      return body;
  }
}

/** Redacts a JSON value: its texts, its keys, and numbers that spell a secret. */
export function redactJson(redactor: Redactor, value: Json): Json {
  if (typeof value === "string") return redactor.text(value);
  if (typeof value === "number") {
    const text = redactor.text(String(value));
    return text === String(value) ? value : text;
  }
  if (Array.isArray(value)) return value.map((item) => redactJson(redactor, item));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [redactor.text(key), redactJson(redactor, item)]),
  );
}
