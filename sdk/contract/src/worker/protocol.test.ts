import { expect, test } from "vitest";
import { z } from "zod";
import { ROUTES } from "../routes.ts";

/** The database counts claims in 32 bits. */
const EPOCH_MAX = 2 ** 31 - 1;

/** Every schema of a property with this name, however deep it lies. */
function schemasOf(name: string, within: unknown): unknown[] {
  if (within === null || typeof within !== "object") return [];
  return Object.entries(within).flatMap(([key, value]) => (key === name ? [value] : schemasOf(name, value)));
}

const bodies = Object.entries(ROUTES).flatMap(([route, row]) => {
  if (!("body" in row) || !(row.body instanceof z.ZodType)) return [];
  const schema = z.toJSONSchema(row.body, { io: "input", unrepresentable: "any" });
  return schemasOf("epoch", schema).map((epoch) => ({ route, epoch }));
});

test.each(["a\r\nx-liar: 1", "a\nb", "\0", "ü", "a b", "", "x".repeat(4097)])(
  "a session's token is text that a header can carry, unlike %j",
  (token) => {
    const id = "01900000-0000-7000-8000-000000000001";
    const rest = { protocol: 3, workspaceId: id, poolId: id, incarnation: id };
    const session = { ...rest, expiresInMs: 600_000, renewIntervalMs: 10_000 };
    expect(ROUTES.openSession.answer.safeParse({ ...session, token: "eyJ.eyJ.x-_~" }).success).toBe(true);
    expect(ROUTES.openSession.answer.safeParse({ ...session, token }).success).toBe(false);
  },
);

test("requests name epochs", () => {
  expect(bodies.map(({ route }) => route)).toEqual(expect.arrayContaining(["claim", "renew", "report"]));
});

test.each(bodies)("an epoch in $route is one that the database can count", ({ epoch }) => {
  expect(epoch).toMatchObject({ type: "integer", minimum: 1, maximum: EPOCH_MAX });
});
