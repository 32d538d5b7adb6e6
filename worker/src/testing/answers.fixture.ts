import type { ServerResponse } from "node:http";
import { PROBLEMS, type ProblemCode } from "@towpath/contract";

/** Answers with a body. */
export function json(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

/** Answers with a problem, in the words of the contract's table. */
export function problem(response: ServerResponse, code: ProblemCode): void {
  const { status, title, retryable } = PROBLEMS[code];
  const body = { type: `about:${code}`, title, status, code, detail: title, instance: "/", retryable };
  response.writeHead(status, { "content-type": "application/problem+json" });
  response.end(JSON.stringify(body));
}
