import type { ServerResponse } from "node:http";
import { PROBLEMS, type ProblemCode, type Report } from "@towpath/contract";

/** Answers with a body. */
export function json(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

/** Answers with a problem, in the words of the contract's table where there are no others. */
export function problem(response: ServerResponse, code: ProblemCode, said?: string): void {
  const { status, title, retryable } = PROBLEMS[code];
  const detail = said ?? title;
  const body = { type: `about:${code}`, title, status, code, detail, instance: "/", retryable };
  response.writeHead(status, { "content-type": "application/problem+json" });
  response.end(JSON.stringify(body));
}

/** Answers as a release of which nothing is known here: with 426 and a body of its own. */
export function foreign(response: ServerResponse): void {
  response.writeHead(426, { "content-type": "application/json" });
  response.end('{"fault":"upgrade"}');
}

/** Whether a report holds any record. */
export function hasRecords({ attempts }: Report): boolean {
  return attempts.some(({ control, bulk }) => control.length + bulk.length > 0);
}
