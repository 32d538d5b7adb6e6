import { type Called, type CalledWait, newWorkspaceKey, ORIGINS } from "@towpath/contract";
import { expect, test } from "vitest";
import { openCalled } from "./incoming.ts";
import { WorkerKeyring } from "./keyring.ts";

const keyring = new WorkerKeyring([newWorkspaceKey()]);
const run = { workspace: "w", deployment: "d", runId: "r" };
const opener = { keyring, run, sealedOnly: true };

/** The answer to a question, sealed for the question of this id. */
function answered(waitId: string, over: Partial<CalledWait> = {}): Called {
  const place = {
    workspace: "w",
    deployment: "d",
    field: "answer",
    origin: ORIGINS.wait("r", waitId),
  } as const;
  const answer = { sealed: keyring.seal(place, '{"ok":true}') };
  return { waitId, state: "satisfied", inMs: null, answer, answeredBy: "ada", run: null, ...over };
}

const open = (called: Called, callId: string) => () => openCalled(opener, { called, callId });

test("an answer is heard for the question that the flow asked, and for no other", () => {
  expect(open(answered("asked"), "asked")()).toMatchObject({ answer: { ok: true } });
  const swapped = expect.objectContaining({ code: "bad-seal", message: expect.stringContaining("moved") });
  expect(open(answered("another"), "asked")).toThrow(swapped);
  expect(open(answered("another", { waitId: "asked" }), "asked")).toThrow(swapped);
});

test("a job's outcome is heard, and a result that no worker reported is refused", () => {
  const job = { handle: null, intendedBy: "a", createdAt: "2026-01-01T00:00:00.000Z", earlier: false };
  const outcome = (value?: number) =>
    answered("asked", {
      job,
      answer: { outcome: "completed", result: null, ...(value !== undefined && { value }) },
    });
  expect(open(outcome(), "asked")()).toMatchObject({ answer: { outcome: "completed" } });
  expect(open(outcome(1), "asked")).toThrow(expect.objectContaining({ code: "bad-seal" }));
});
