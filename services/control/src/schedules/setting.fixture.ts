import { ScheduleSettings, type ScheduleSettingsInput } from "@towpath/contract";
import { listRuns } from "../runs/index.ts";
import { openTenancy, START_MS, type Tenancy, type TestEnv } from "../test-env.fixture.ts";
import { schedulesPeriodicJob } from "./periodic-jobs.ts";
import { listInstants, setSchedule } from "./schedules.ts";

/** An hour, milliseconds. */
export const HOUR: number = 3600_000;
/** The instant this many hours after the tests begin. */
export const at = (hours: number) => new Date(START_MS + hours * HOUR).toISOString();
/** Every hour, on the hour. */
export const hourly = { kind: "interval", everyMs: HOUR, anchor: at(0) } as const;

/** A tenant with the schedule `nightly` of deployment `flow`. */
export interface Setting extends Tenancy {
  set(
    settings: Partial<ScheduleSettingsInput>,
    condition?: { ifUpdatedAt: string | null },
  ): ReturnType<typeof setSchedule>;
  runs(): Promise<Awaited<ReturnType<typeof listRuns>>["items"]>;
  instants(name?: string): Promise<unknown[]>;
  readonly nightly: { scope: Tenancy["scope"]; name: string; schedule: string };
}

/** Decides until no instant is left to decide. */
export async function decideAllOf(testEnv: TestEnv): Promise<void> {
  while ((await schedulesPeriodicJob.runOnce(testEnv.deps)).worked);
}

/** Creates a tenant at a full hour, with no undecided instants of other tests. */
export async function settingOf(testEnv: TestEnv): Promise<Setting> {
  const rest = HOUR - ((testEnv.clock.nowMs() - START_MS) % HOUR);
  if (rest < HOUR) testEnv.clock.advance(rest);
  await decideAllOf(testEnv);
  const tenancy = await openTenancy(testEnv);
  const { scope } = tenancy;
  const nightly = { scope, name: "flow", schedule: "nightly" };
  return {
    ...tenancy,
    nightly,
    set: (settings, condition) =>
      setSchedule(testEnv.deps, {
        ...condition,
        scope,
        deployment: "flow",
        settings: ScheduleSettings.parse({ name: "nightly", timing: hourly, ...settings }),
      }),
    async runs() {
      const { items } = await listRuns(testEnv.deps, scope, { limit: 100 });
      return items.toReversed();
    },
    async instants(name = "nightly") {
      const { items } = await listInstants(testEnv.deps, { ...nightly, schedule: name, limit: 100 });
      return items.toReversed().map(({ at: when, until, skipped }) => [when, until, skipped]);
    },
  };
}
