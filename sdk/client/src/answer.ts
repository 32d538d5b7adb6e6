import {
  isProblemCode,
  PROBLEMS,
  Problem,
  ProblemBody,
  type ProblemCode,
  type Route,
  retryAfterOf,
} from "@towpath/contract";
import { UnexpectedAnswer } from "./failure.ts";

/** The length at which an unreadable answer is cut in a message, characters. */
const EXCERPT_CHARS = 120;

function excerpt(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > EXCERPT_CHARS ? `${line.slice(0, EXCERPT_CHARS)}…` : line;
}

/** A known code for a status. A server of a later release may send codes that this client does not know. */
function codeForStatus(status: number): ProblemCode {
  const codes = Object.keys(PROBLEMS).filter(isProblemCode);
  return (
    codes.find((code) => PROBLEMS[code].status === status) ?? (status >= 500 ? "internal" : "bad-request")
  );
}

/**
 * Turns an answer other than success into the error to throw. For problem+json this is a `Problem`. If this release does
 * not know its code, the `Problem` has a known code of the same status, and the detail contains the unknown code.
 */
export function failureOf(
  url: string,
  answer: { status: number; text: string; retryAfter?: string | null },
): Problem | UnexpectedAnswer {
  const retryAfterMs = retryAfterOf(answer.retryAfter ?? null);
  const body = ProblemBody.safeParse(parseJson(answer.text));
  if (!body.success) {
    const reason = answer.text === "" ? "no body" : excerpt(answer.text);
    return new UnexpectedAnswer(url, { status: answer.status, reason, retryAfterMs });
  }
  const { code, detail, faults = [] } = body.data;
  const rest = { faults, ...(retryAfterMs === null ? {} : { retryAfterMs }) };
  if (isProblemCode(code)) return new Problem(code, detail, rest);
  return new Problem(codeForStatus(answer.status), `${detail} (${code})`, rest);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The fetch option that follows no redirect: a control plane could lead requests, with their bodies, into a private network. */
export const NO_REDIRECT = { redirect: "manual" } as const satisfies RequestInit;

/** @throws UnexpectedAnswer for a redirect. A browser does not say where it leads. */
export function refuseRedirect(url: string, { type, status, headers }: Response): void {
  if (type !== "opaqueredirect" && (status < 300 || status > 399)) return;
  const location = headers.get("location");
  const to = location === null ? "" : ` to ${excerpt(location)}`;
  throw new UnexpectedAnswer(url, {
    status,
    reason: `a redirect${to}, which is not followed. If the control plane has moved, use its new address`,
  });
}

/**
 * Reads a route's answer.
 * @throws Problem if the server answers with one; `UnexpectedAnswer` if the answer does not match the contract.
 */
export async function readAnswer(
  at: { url: string; route: Route; validate: boolean },
  response: Response,
): Promise<unknown> {
  const { route, url } = at;
  refuseRedirect(url, response);
  const text = await response.text();
  if (!response.ok) {
    const retryAfter = response.headers.get("retry-after");
    throw failureOf(url, { status: response.status, text, retryAfter });
  }
  if (route.answer === "none") return undefined;
  if (route.answer === "text") return text;
  const value = parseJson(text);
  if (value === undefined)
    throw new UnexpectedAnswer(url, { status: response.status, reason: `not JSON: ${excerpt(text)}` });
  if (!at.validate) return value;
  const parsed = route.answer.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join(".") || "the answer";
  throw new UnexpectedAnswer(url, {
    status: response.status,
    reason: `${where} is not what this release expects (${issue?.message ?? "unreadable"})`,
    cause: parsed.error,
  });
}
