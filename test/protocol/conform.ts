import { expect } from "vitest";
import { exchange } from "./exchange.ts";
import { ANYTHING, requestBytes, VECTOR_ATTEMPT, type Vector } from "./vector.ts";

/** A gateway with one new attempt, whose ids and token differ from those in the vectors. */
export interface GatewayUnderTest {
  readonly socket: string;
  /** A value in the vectors, and the value here. */
  readonly names: ReadonlyMap<string, string>;
  /** Cancels the attempt, with the vectors' reason. */
  cancel(): Promise<void>;
}

/** Sends a vector's requests in order and compares every answer. */
export async function expectConformance(gateway: GatewayUnderTest, vector: Vector): Promise<void> {
  for (const [index, step] of vector.exchanges.entries()) {
    if ("cancel" in step) {
      expect(step.cancel).toBe(VECTOR_ATTEMPT.cancelReason);
      await gateway.cancel();
      continue;
    }
    const { status, body } = await exchange(gateway.socket, translated(gateway, requestBytes(step.request)));
    const said = blanked(untranslated(gateway, body), step.answer.body);
    expect({ status, body: said }, `${vector.file}, exchange ${index + 1}`).toEqual(step.answer);
  }
}

/** Replaces values in the head only, so that the content length stays right. */
function translated({ names }: GatewayUnderTest, bytes: Buffer): Buffer {
  const end = bytes.indexOf("\r\n\r\n");
  let head = bytes.subarray(0, end).toString("utf8");
  for (const [ours, theirs] of names) head = head.replaceAll(ours, theirs);
  return Buffer.concat([Buffer.from(head, "utf8"), bytes.subarray(end)]);
}

function untranslated({ names }: GatewayUnderTest, body: unknown): unknown {
  let text = JSON.stringify(body);
  for (const [ours, theirs] of names) text = text.replaceAll(theirs, ours);
  return JSON.parse(text);
}

/** The answer, with "…" wherever the vector allows any value. */
function blanked(body: unknown, pattern: unknown): unknown {
  if (pattern === ANYTHING && body !== undefined && body !== "") return ANYTHING;
  if (Array.isArray(body) && Array.isArray(pattern))
    return body.map((item, index) => blanked(item, pattern[index]));
  if (!isObject(body) || !isObject(pattern)) return body;
  return Object.fromEntries(Object.entries(body).map(([key, item]) => [key, blanked(item, pattern[key])]));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
