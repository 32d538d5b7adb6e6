import { type Json, uuidv7 } from "@towpath/contract";
import { Failure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { splitParameter } from "./parameters.ts";

/** The arguments of `towpath event`. */
export interface EventRequest {
  readonly name: string;
  readonly key: string | undefined;
  /** Fields of its payload, as `name=value`. */
  readonly given: readonly string[];
  /** The whole payload, as JSON. */
  readonly payload: string | undefined;
  readonly id: string | undefined;
}

function parsedValue(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function payloadOf({ payload, given }: EventRequest): Json {
  if (payload === undefined) {
    const fields = given
      .map(splitParameter)
      .map(({ name, text }): [string, Json] => [name, parsedValue(text)]);
    return fields.length === 0 ? null : Object.fromEntries(fields);
  }
  if (given.length > 0)
    throw new Failure("Give the payload with either --payload or -p, not both.", { exit: "usage" });
  return parsedValue(payload);
}

/** `towpath event NAME`: sends an event. */
export async function sendEvent(invocation: Invocation, args: EventRequest): Promise<void> {
  const { output, clock } = invocation;
  const client = await invocation.client();
  const body = { id: args.id ?? uuidv7(clock.nowMs()), name: args.name, payload: payloadOf(args) };
  const sent = await client.sendEvent({ body: args.key === undefined ? body : { ...body, key: args.key } });
  output.data(sent);
  const runs = sent.satisfied === 1 ? "received by 1 run" : `received by ${sent.satisfied} runs`;
  output.line(`${output.style.green("✓")} event ${args.name} ${output.style.dim(sent.id)}: ${runs}`);
}
