import { setImmediate as nextTurn } from "node:timers/promises";
import type { Checkpoint } from "@towpath/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fakeClock } from "../clock.ts";
import { ctx } from "../engine/context.ts";
import { Hearing, type Host } from "../engine/host.ts";
import type { RecordDraft, RecordSink } from "../engine/records.ts";
import { runFlowIn } from "../engine/run-flow.ts";
import { localFacts } from "../engine/run-here.ts";
import { flow } from "../flow.ts";
import { memoryObjects } from "../store/memory-store.ts";
import type { Objects } from "../store/objects.ts";
import { storeOver } from "../store/store.ts";
import { task } from "../task/task.ts";

/** A part of a flow: a task that waits for some turns and calls others, one after the other or side by side. */
interface Part {
  readonly id: number;
  readonly turns: number;
  readonly way: "series" | "branches" | "mapped";
  readonly inside: readonly Part[];
}

type Shape = { turns: number; way: Part["way"]; inside: Shape[] };

/** Shapes of at most so many levels. */
function shapes(levels: number): fc.Arbitrary<Shape> {
  return fc.record({
    turns: fc.nat(3),
    way: fc.constantFrom("series" as const, "branches" as const, "mapped" as const),
    inside: levels === 0 ? fc.constant([]) : fc.array(shapes(levels - 1), { maxLength: 4 }),
  });
}

function numbered(one: Shape, next: { id: number }): Part {
  const id = next.id++;
  return { id, turns: one.turns, way: one.way, inside: one.inside.map((part) => numbered(part, next)) };
}

class Killed extends Error {}

/** What survives a kill: the store and the records that were held. */
interface Ground {
  readonly objects: Objects;
  readonly held: RecordDraft[];
}

/** A process that dies at its nth contact with what is outside of it, and what it did until then. */
class Process {
  readonly #ground: Ground;
  readonly began = new Set<string>();
  #buffered: RecordDraft[] = [];
  #left: number;
  isDead = false;

  constructor(ground: Ground, dieAt: number) {
    this.#ground = ground;
    this.#left = dieAt;
  }

  /** Notes what a task does, as an effect outside of the process would show it. */
  did(path: string): void {
    if (!this.isDead) this.began.add(path);
  }

  touch(): void {
    this.#left -= 1;
    if (this.#left < 0) this.isDead = true;
    if (this.isDead) throw new Killed("killed");
  }

  /** Held a turn later, all that came meanwhile together, unless the process is dead by then. */
  async #hold(): Promise<void> {
    await nextTurn();
    this.touch();
    this.#ground.held.push(...this.#buffered.splice(0));
  }

  readonly records: RecordSink = {
    post: async (record) => {
      this.touch();
      this.#buffered.push(record);
    },
    postHeld: async (record) => {
      this.touch();
      this.#buffered.push(record);
      await this.#hold();
    },
    postStored: async (record) => this.records.postHeld(record),
    postLog: () => {},
  };

  readonly objects: Objects = {
    write: async (path, bytes) => {
      this.touch();
      await nextTurn();
      const uri = await this.#ground.objects.write(path, bytes);
      this.touch();
      return uri;
    },
    uriOf: (path) => this.#ground.objects.uriOf(path),
    read: (uri, most) => this.#ground.objects.read(uri, most),
    sizeOf: (uri) => this.#ground.objects.sizeOf(uri),
    list: (prefix) => this.#ground.objects.list(prefix),
    remove: (paths) => this.#ground.objects.remove(paths),
  };
}

function completedIn(held: readonly RecordDraft[]): Checkpoint[] {
  return held.flatMap((record): Checkpoint[] => {
    if (record.type !== "task" || (record.move !== "complete" && record.move !== "reuse")) return [];
    const { path, at, codeVersion = null, inputHash = null, result = null } = record;
    return [{ path, kind: "task", own: true, at, codeVersion, inputHash, result }];
  });
}

function hostOf(process: Process, ground: Ground, attempt: number): Host {
  const items = completedIn(ground.held);
  return {
    facts: { ...localFacts("random"), attempt },
    parameters: {},
    records: process.records,
    store: storeOver(process.objects),
    resume: {
      origin: "origin",
      codeVersions: {},
      code: "v1",
      earlier: async () => ({ items, next: null }),
      keeps: true,
      knowsEarlier: true,
    },
    clock: fakeClock(),
    random: () => 0.5,
    secret: () => ({ next: "" }),
    resource: () => ({ overrides: undefined }),
    call: () => Promise.reject(new Error("no calls here")),
    waits: { heard: new Hearing(), suspends: true, ask: () => Promise.reject(new Error("no waits here")) },
    poolOf: null,
    task: null,
    watchdog: null,
    cancelled: new AbortController().signal,
  };
}

/** A flow of this shape whose tasks tell `process` when they begin. Its result is a sum over all parts. */
function flowOf(root: Part, process: () => Process) {
  const part = task({ name: "part" }, async (one: Part): Promise<number> => {
    process().did(ctx.taskPath ?? "");
    for (let turn = 0; turn < one.turns; turn++) await nextTurn();
    return one.id + 1 + (await sum(one));
  });
  const sum = async ({ way, inside }: Part): Promise<number> => {
    const results: number[] = [];
    if (way === "mapped") results.push(...(await part.map(inside)));
    else if (way === "branches") results.push(...(await Promise.all(inside.map((one) => part(one)))));
    else for (const one of inside) results.push(await part(one));
    return results.reduce((all, one) => all + one, 0);
  };
  return flow({ name: "random" }, async () => ({ sum: await sum(root) }));
}

/** Runs until the process dies or the flow ends. @returns the flow's value, or null if it was killed */
async function attempt(root: Part, args: { ground: Ground; dieAt: number; ordinal: number }) {
  const process = new Process(args.ground, args.dieAt);
  const random = flowOf(root, () => process);
  const runnable = { ...random, dueInput: null };
  const end = await runFlowIn(runnable, hostOf(process, args.ground, args.ordinal)).catch(() => null);
  const isOver = end?.outcome === "completed" && !process.isDead;
  return { process, value: isOver ? end.value : null };
}

const sumOf = ({ id, inside }: Part): number => inside.reduce((sum, part) => sum + sumOf(part), id + 1);

test("killed anywhere, however its branches interleave, a run ends with the same result, and what was completed never runs twice", async () => {
  let kills = 0;
  await fc.assert(
    fc.asyncProperty(shapes(3), fc.array(fc.nat(60), { maxLength: 5 }), async (random, deaths) => {
      const root = numbered(random, { id: 0 });
      const ground: Ground = { objects: memoryObjects(), held: [] };
      let value: unknown = null;
      for (let ordinal = 1; value === null; ordinal++) {
        const done = new Set(completedIn(ground.held).map(({ path }) => path));
        const dieAt = deaths[ordinal - 1] ?? Number.POSITIVE_INFINITY;
        const { process, value: ended } = await attempt(root, { ground, dieAt, ordinal });
        for (const path of process.began) expect(done, `${path} ran again`).not.toContain(path);
        value = ended;
        kills += Number(process.isDead);
        expect(ordinal).toBeLessThanOrEqual(deaths.length + 1);
      }
      expect(value).toEqual({ sum: sumOf(root) - 1 });
    }),
    { numRuns: 60 },
  );
  expect(kills).toBeGreaterThan(0);
});
