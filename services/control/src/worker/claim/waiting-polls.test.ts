import { expect, test } from "vitest";
import { WaitingPolls } from "./poll.ts";

test("the limit on waiting polls holds for each workspace, and each poll that ends makes room for another", async () => {
  const polls = new WaitingPolls(2);
  const gates = Array.from({ length: 2 }, () => Promise.withResolvers<string>());
  const waiting = gates.map(({ promise }) => polls.pass("one", () => promise));
  await expect(polls.pass("one", async () => "in")).rejects.toMatchObject({
    code: "too-many-polls",
    retryable: true,
    detail: expect.stringContaining("capacity"),
  });
  expect(await polls.pass("other", async () => "in")).toBe("in");
  gates[0]?.reject(new Error("gone"));
  await expect(waiting[0]).rejects.toThrow("gone");
  expect(await polls.pass("one", async () => "in")).toBe("in");
  gates[1]?.resolve("answered");
  expect(await waiting[1]).toBe("answered");
});
