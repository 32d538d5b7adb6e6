import { ROUTES } from "@towpath/contract";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { machineClock } from "../clock.ts";
import { Liar } from "./liar.ts";
import type { Wire } from "./wire.ts";

const Polled = z.object({
  assignments: z.array(z.looseObject({ attemptId: z.string(), runId: z.string() })),
});

let liar: Liar;
beforeEach(async () => {
  liar = new Liar(machineClock, crypto.randomUUID());
  await liar.start();
});
afterEach(() => liar.stop());

async function ask(verb: "claim" | "report", body: Wire): Promise<unknown> {
  const { method, path } = ROUTES[verb];
  const headers = { authorization: `Bearer ${liar.token}`, "content-type": "application/json" };
  const response = await fetch(`${liar.url}${path}`, { method, headers, body: JSON.stringify(body) });
  return await response.json();
}

/** Polls as a worker with one free slot. @returns what it gets */
async function poll(): Promise<z.infer<typeof Polled>["assignments"]> {
  return Polled.parse(await ask("claim", { free: 1, held: [] })).assignments;
}

/** Reports as a worker that gives an assignment back. */
async function giveBack(attemptId: string, reason: string): Promise<void> {
  const released = { seq: 1, type: "released", reason };
  await ask("report", { attempts: [{ attemptId, control: [released], bulk: [] }] });
}

test.each([
  "The worker has no free slot.",
  "This worker's machine is too busy to check the run's parameters now. The run waits.",
])("work is given again, as an honest control plane does: %s", async (why) => {
  const offer = liar.offer({ runId: liar.id() });
  const [first] = await poll();
  await giveBack(String(first?.attemptId), why);
  expect(offer.isOver).toBe(false);
  const [second] = await poll();
  expect(second?.runId).toBe(first?.runId);
  expect(second?.attemptId).not.toBe(first?.attemptId);
  await giveBack(String(second?.attemptId), "The worker is being drained.");
  expect(offer).toMatchObject({ isOver: true, outcome: "released", why: "The worker is being drained." });
});

test("work for which the machine stays too busy is given three times", async () => {
  const offer = liar.offer({ runId: liar.id() });
  for (let time = 0; time < 3; time++) {
    expect(offer.isOver).toBe(false);
    const [given] = await poll();
    await giveBack(String(given?.attemptId), "A runner did not start in 1 ms.");
  }
  expect(offer).toMatchObject({ isOver: true, outcome: "released" });
});

test("an idle connection stays longer than a worker keeps it, so that none ends under a request", async () => {
  const { headers } = await fetch(liar.url);
  expect(headers.get("keep-alive")).toBe("timeout=120");
});

test("work whose answer the worker discarded is given again until the worker confirms it", async () => {
  const offer = liar.hold({ runId: liar.id() });
  offer.isOurs = true;
  const lied = liar.lie("claim", { body: (honest) => ({ ...honest, assignments: [offer.assignment] }) });
  const given = await poll();
  await lied;
  expect([given, await poll()].map((all) => all.map(({ attemptId }) => attemptId))).toEqual([
    [offer.attemptId],
    [offer.attemptId],
  ]);
});
