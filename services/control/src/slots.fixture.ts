import { SetLimit } from "@towpath/contract";
import { FakeWorker, records } from "./fake-worker.fixture.ts";
import {
  createRun,
  getLimit,
  getRun,
  listLimits,
  type RunRequest,
  runsPeriodicJobs,
  setLimit,
} from "./runs/index.ts";
import { SLOT_FAULTS } from "./slot-faults.fixture.ts";
import { openTenancy, type Tenancy, type TestEnv } from "./test-env.fixture.ts";

/** Opens a tenant whose runs are limited, with a worker that starts and ends them. */
export async function openLimitsEnv(testEnv: TestEnv) {
  const tenancy = await openTenancy(testEnv);
  const fakeWorker = new FakeWorker(testEnv, await tenancy.worker());
  return new LimitsEnv(testEnv, tenancy, fakeWorker);
}

/** The actions of tests about limits. */
class LimitsEnv {
  readonly testEnv: TestEnv;
  readonly tenancy: Tenancy;
  readonly fakeWorker: FakeWorker;

  constructor(testEnv: TestEnv, tenancy: Tenancy, fakeWorker: FakeWorker) {
    this.testEnv = testEnv;
    this.tenancy = tenancy;
    this.fakeWorker = fakeWorker;
  }

  /** Sets a limit and runs the periodic job on its wait lists. */
  async limit(name: string, slots: number, over: Partial<SetLimit> = {}) {
    const { deps } = this.testEnv;
    const input = SetLimit.parse({ name, slots, ...over });
    const limit = await setLimit(deps, {
      scope: this.tenancy.scope,
      input,
    });
    await this.look();
    return limit;
  }

  /** Runs the periodic job until it finds no work. */
  async look(): Promise<void> {
    const admit = runsPeriodicJobs.find(({ name }) => name === "admit");
    while ((await admit?.runOnce(this.testEnv.deps))?.worked);
  }

  async limits() {
    const { deps } = this.testEnv;
    const page = await listLimits(deps, { scope: this.tenancy.scope, limit: 50 });
    return new Map(page.items.map((one) => [one.name, one]));
  }

  async limitById(limitId: string) {
    return getLimit(this.testEnv.deps, { scope: this.tenancy.scope, limitId });
  }

  /** Creates a run, one millisecond after the last one. @returns its id */
  async ask(over: Partial<RunRequest> = {}): Promise<string> {
    this.testEnv.clock.advance(1);
    const { id } = await createRun(this.testEnv.deps, this.tenancy.scope, this.tenancy.request(over));
    return id;
  }

  async run(runId: string) {
    return getRun(this.testEnv.deps, this.tenancy.scope, { runId, from: this.testEnv.deps.database.db });
  }

  async states(...runIds: string[]): Promise<string[]> {
    return Promise.all(runIds.map(async (id) => (await this.run(id)).state));
  }

  /** Claims and starts the first run in the pool's queue. */
  async start() {
    const fence = await this.fakeWorker.take();
    await this.fakeWorker.report(fence, [records.started]);
    return fence;
  }

  /** Claims, starts and ends the first run in the pool's queue. @returns the run's id */
  async serve(outcome = "completed", over: Record<string, unknown> = {}): Promise<string> {
    const fence = await this.start();
    await this.fakeWorker.report(fence, [records.ended(outcome, over)], { from: 2 });
    return fence.runId;
  }

  /** Violations of the invariants of slots, of all tenants. */
  async faults(): Promise<string[]> {
    const rows = await this.testEnv.deps.database.sql.unsafe<{ fault: string }[]>(SLOT_FAULTS);
    return rows.map((row) => row.fault);
  }
}
