import { uuidv7 } from "@towpath/contract";
import { expect } from "vitest";
import type { Dispatchers } from "../../fake-worker.fixture.ts";
import type { Tenancy, TestEnv } from "../../test-env.fixture.ts";
import { createRun } from "../requests/requests.ts";
import { RUNS } from "./steps.fixture.ts";

type Request = ReturnType<Tenancy["request"]>;

/** The model's memory of the requested runs and of the acknowledged ids. The first run has an idempotency key. */
export class Requests {
  /** Ids of the runs whose creation was acknowledged. */
  readonly created = new Set<string>();
  readonly #tenancy: Tenancy;
  readonly #requests: readonly Request[];
  /** The id that was acknowledged for the key. */
  #keyed: string | null = null;

  /** @param deployments The deployments of the runs, in turn. */
  constructor(tenancy: Tenancy, deployments: readonly string[]) {
    this.#tenancy = tenancy;
    this.#requests = Array.from({ length: RUNS }, (_, index) =>
      tenancy.request({
        deployment: deployments[index % deployments.length] ?? "flow",
        ...(index === 0 && { idempotencyKey: "k" }),
      }),
    );
  }

  /**
   * Requests a run. A repeated request gets the same run. A twin has another id and the same key: both get the id that was
   * acknowledged first.
   */
  async create(
    testEnv: TestEnv,
    args: { run: number; twin: boolean },
    dispatchers?: Dispatchers,
  ): Promise<void> {
    const request = this.#requests[args.run];
    if (request === undefined) return;
    const keyed = request.idempotencyKey !== undefined;
    const id = keyed && args.twin ? uuidv7(testEnv.clock.nowMs()) : request.id;
    const made = await createRun(testEnv.deps, this.#tenancy.scope, { ...request, id }, dispatchers);
    if (keyed) this.#keyed ??= made.id;
    expect(made.id).toBe(keyed ? this.#keyed : id);
    this.created.add(made.id);
  }

  /** The id of a run, before or after its creation. */
  idOf(run: number): string {
    const request = this.#requests[run];
    return (request?.idempotencyKey === undefined ? null : this.#keyed) ?? request?.id ?? "";
  }
}
