import { z } from "zod";
import type { Permission } from "../identity/keys.ts";
import { DeploymentName, Id, Name } from "./names.ts";
import type { ProblemCode } from "./problems.ts";
import type { RateClass } from "./rates.ts";

/** An HTTP method of the API. */
export type Method = "GET" | "POST" | "DELETE";

/** One row of the table of routes. Server, client, OpenAPI, permission tests and reference docs derive from it. */
export interface Route {
  readonly method: Method;
  /** Path with `{name}` parameters. */
  readonly path: string;
  /** One sentence for the reference. */
  readonly summary: string;
  /** The domain word that owns it. */
  readonly slice: string;
  readonly permission: Permission;
  /** The class of limit that its requests count against. */
  readonly rate: RateClass;
  /**
   * Whether a client may send the same request again when its answer was lost. True if a repetition changes nothing more. False
   * for the worker's verbs, too: the worker decides about those itself.
   */
  readonly repeatable: boolean;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** Largest body accepted, bytes. */
  readonly bodyBytes?: number;
  /**
   * The JSON answer. `stream` routes answer server-sent events of this shape; `none` answers 204; `text` a file of plain
   * text, sent as it is made.
   */
  readonly answer: z.ZodType | "none" | "text";
  readonly stream?: boolean;
  /** Status of a successful answer. */
  readonly status: 200 | 201 | 204;
  /** Problems of its own, beside those every route may answer. */
  readonly problems: readonly ProblemCode[];
}

/** Problems that any route may answer. */
export const COMMON_PROBLEMS = [
  "bad-request",
  "too-many-requests",
  "internal",
  "unavailable",
] as const satisfies readonly ProblemCode[];

/** Declares one route and keeps its exact types. */
export function route<const R extends Route>(row: R): R {
  return row;
}

/** The path parameters of a route, as its handler and caller see them. */
export type ParamsOf<R extends Route> = R["params"] extends z.ZodType ? z.output<R["params"]> : undefined;
/** The query of a route, after parsing. */
export type QueryOf<R extends Route> = R["query"] extends z.ZodType ? z.output<R["query"]> : undefined;
/** The query of a route, as a caller writes it. */
export type QueryInput<R extends Route> = R["query"] extends z.ZodType ? z.input<R["query"]> : undefined;
/** The body of a route, after parsing. */
export type BodyOf<R extends Route> = R["body"] extends z.ZodType ? z.output<R["body"]> : undefined;
/** The body of a route, as a caller writes it. */
export type BodyInput<R extends Route> = R["body"] extends z.ZodType ? z.input<R["body"]> : undefined;
/** The answer of a route. */
export type AnswerOf<R extends Route> = R["answer"] extends z.ZodType
  ? z.output<R["answer"]>
  : R["answer"] extends "text"
    ? string
    : undefined;

/** Path parameters of routes about one run. */
export const RunParams = z.object({ runId: Id });

/** Path parameters of routes about something that people have named. */
export const ByName = z.object({ name: Name });

/** Path parameters of routes about a deployment: `churn`, or with its stage `churn@prod`. */
export const ByDeployment = z.object({ name: DeploymentName });
