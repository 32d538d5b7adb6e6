import type { Client } from "@towpath/client";
import { Problem } from "@towpath/contract";
import { expect, test } from "vitest";
import { EXIT } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { createOutput } from "../output.ts";
import { listBackfills } from "./backfills.ts";
import { deleteSchedule } from "./commands.ts";

const BACKFILL = {
  id: "b",
  deployment: "daily",
  state: "running",
  instants: 3,
  created: 1,
  ended: 0,
  failed: 0,
  troubles: [],
};

/** What one of these commands printed, with the control plane at the network's edge. */
function plane(client: object) {
  const lines: string[] = [];
  const stream = { write: (text: string) => lines.push(text.trimEnd()) };
  const invocation = {
    output: createOutput({ stdout: stream, stderr: stream }, { json: false, color: false }),
    client: async () => client as Client,
  } as unknown as Invocation;
  return { invocation, lines };
}

/** Removes a schedule of this source, or a missing one. */
async function removed(source: "code" | "person" | null, yes: boolean) {
  const deleted: unknown[] = [];
  const { invocation, lines } = plane({
    getSchedule: () =>
      source === null
        ? Promise.reject(new Problem("schedule-not-found", "none"))
        : Promise.resolve({ source }),
    deleteSchedule: async ({ params }: { params: unknown }) => deleted.push(params),
  });
  const name = { deployment: "daily@prod", schedule: "nightly", yes };
  const code = await deleteSchedule(invocation, name).catch((failure: unknown) => failure);
  return { code, deleted, text: lines.join("\n") };
}

test("a schedule that comes from the code is removed only after a confirmation", async () => {
  const refused = await removed("code", false);
  expect(refused.code).toMatchObject({ code: "not-confirmed", next: [expect.stringContaining("--yes")] });
  expect(refused.deleted).toEqual([]);
  expect(refused.text).toContain("The next version of daily@prod creates it again.");
  const { code, deleted, text } = await removed("code", true);
  expect([code, deleted]).toEqual([EXIT.ok, [{ name: "daily@prod", schedule: "nightly" }]]);
  expect(text).toContain("remove it from the deployment in towpath.config.ts");
});

test.each(["person", null] as const)("other schedules are removed without a question: %s", async (source) => {
  const { code, deleted, text } = await removed(source, false);
  expect([code, deleted.length]).toEqual([EXIT.ok, 1]);
  expect(text).not.toContain("creates it again");
});

test("a backfill's range is shown in the zone of its schedule, days as days", async () => {
  const { invocation, lines } = plane({
    listBackfills: async () => ({
      items: [
        {
          ...BACKFILL,
          schedule: "nightly",
          from: "2026-01-09T23:00:00.000Z",
          to: "2026-01-12T11:30:00.000Z",
        },
        { ...BACKFILL, schedule: "gone", from: "2026-01-09T23:00:00.000Z", to: "2026-01-12T00:00:00.000Z" },
      ],
      next: null,
    }),
    listSchedules: async () => ({
      items: [
        {
          deployment: "daily",
          name: "nightly",
          timing: { kind: "cron", cron: "0 3 * * *", zone: "Europe/Berlin" },
        },
      ],
      next: null,
    }),
  });
  await listBackfills(invocation, {});
  expect(lines[1]).toMatch(/ nightly +2026-01-10 +2026-01-12T12:30:00\+01:00 +running/);
  expect(lines[2]).toMatch(/ gone +2026-01-09T23:00:00Z +2026-01-12 +running/);
});
