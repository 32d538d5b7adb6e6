import type { Json } from "@towpath/contract";
import { RUN_FLOW } from "@towpath/contract/words";
import { afterAll, beforeAll, expect, test } from "vitest";
import { GatewayFixture } from "../gateway/gateway.fixture.ts";
import { flow, suspend } from "../index.ts";
import { job } from "./job.ts";

const ID = "01980000-0000-7000-8000-00000000000a";

let gateway: GatewayFixture;
beforeAll(async () => {
  gateway = await GatewayFixture.start();
});
afterAll(() => gateway[Symbol.asyncDispose]());

const submit = async () => "handle";
const poll = async () => ({ state: "running" }) as const;
const polled = job({ name: "polled", submit, poll });
const called = job({ name: "called", submit, callback: true });
const both = job({ name: "both", submit, poll, callback: true });

/** What a flow gets from a job that has ended with this value, as the control plane says. */
async function got(kind: typeof polled, value: Json): Promise<unknown> {
  const told = { waitId: ID, state: "satisfied", inMs: null, answeredBy: null, run: null };
  const known = { handle: null, intendedBy: ID, createdAt: "2026-01-01T00:00:00.000Z", earlier: false };
  const answer = { outcome: "completed", result: null, value };
  gateway.call = () => ({ status: 200, body: { ...told, answer, job: known } });
  const seen: unknown[] = [];
  const body = flow({ name: "waits" }, async () => void seen.push(await suspend.job(kind, null)));
  await body[RUN_FLOW](gateway.address);
  const last = gateway.journal.at(-1);
  return last?.type === "outcome" && last.error !== undefined ? last.error.message : seen;
}

test("a job that has no callback takes no value that nobody has signed", async () => {
  expect(await got(polled, "of a liar")).toContain('a callback ended job "polled" with a result');
  expect(await got(polled, null)).toEqual([undefined]);
});

test("a job that a callback may end takes the callback's value", async () => {
  expect(await got(called, "of a callback")).toEqual(["of a callback"]);
  expect(await got(both, { model: 7 })).toEqual([{ model: 7 }]);
});
