import type { Client } from "@towpath/client";
import type { DeployOutcome } from "towpath/deploy";
import { expect, test } from "vitest";
import { rateOf } from "../limits/commands.ts";
import { unstagedWarnings } from "./unstaged.ts";

const limit = {
  kind: "deployment",
  name: "churn",
  slots: 2,
  perMs: null,
  collision: "enqueue",
  source: "person",
};
const NOTIFIERS = [
  { name: "all", deployment: null },
  { name: "oncall", deployment: "churn" },
  { name: "other", deployment: "churn@test" },
];

/** The control plane at the network's edge, with these limits. It has a second page of notifiers. */
function having(limits: readonly object[]) {
  const asked: unknown[] = [];
  const client: unknown = {
    listSchedules: async ({ query }: { query: unknown }) => {
      asked.push(query);
      return {
        items: [
          { name: "nightly", paused: false },
          { name: "old", paused: true },
        ],
      };
    },
    listLimits: async () => ({ items: limits }),
    listNotifiers: async ({ query }: { query: { cursor?: string } }) =>
      query.cursor === undefined
        ? { items: NOTIFIERS.slice(0, 1), next: "more" }
        : { items: NOTIFIERS.slice(1), next: null },
  };
  return { asked, client: client as Client };
}

function outcome(deployment: string, version: number): DeployOutcome {
  return {
    deployment,
    version,
    status: "registered",
    digest: "",
    keyId: "",
    changed: null,
    wasRemoved: false,
  };
}

test("the first deploy for a stage names the schedules, limits and notifiers of the deployment without one", async () => {
  const { client } = having([
    limit,
    { ...limit, slots: 100, perMs: 60_000, collision: "cancel-new" },
    // A control plane of an earlier release ignores the filter. The limits of the code are set for the new one too.
    { ...limit, name: "churner" },
    { ...limit, source: "code" },
  ]);
  const warnings = await unstagedWarnings(client, [outcome("churn@prod", 1)]);
  expect(warnings).toEqual([
    'churn without a stage has a schedule "nightly" of its own, which still starts runs. If churn@prod replaces it, run `towpath schedule pause churn@ nightly`.',
    "The limit of churn without a stage does not apply to churn@prod. To limit churn@prod, run `towpath limit set churn@prod 2 --kind deployment`.",
    "The limit of churn without a stage does not apply to churn@prod. To limit churn@prod, run `towpath limit set churn@prod --rate 100/60000ms --collision cancel-new --kind deployment`.",
    'The notifier "oncall" reports runs of churn without a stage, and none of churn@prod. To report those, run `towpath notify add NAME URL --deployment churn@prod`.',
  ]);
  expect(rateOf("100/60000ms")).toEqual({ slots: 100, perMs: 60_000 });
});

test("later deploys, and deploys without a stage, ask for nothing", async () => {
  const { client, asked } = having([limit]);
  expect(await unstagedWarnings(client, [outcome("churn@prod", 2), outcome("churn", 1)])).toEqual([]);
  expect(asked).toEqual([]);
});
