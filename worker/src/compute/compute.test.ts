import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DoesNotFit, freeOf, type Stock, stockOf, type Taken, take } from "./amounts.ts";
import { ComputeShape, overridden } from "./declared.ts";
import { detect, gpuKind, type Machine } from "./detect.ts";

const GIB = 2 ** 30;

function machine(files: Record<string, string>, over: Partial<Machine> = {}): Machine {
  return {
    cores: () => 16,
    memoryBytes: () => 64 * GIB,
    memoryLimitBytes: () => 0,
    readFile: (path) => files[path] ?? null,
    run: async () => null,
    ...over,
  };
}

describe("what a machine has", () => {
  test("is its cores and memory, and no GPU without nvidia-smi", async () => {
    expect(await detect(machine({}))).toEqual({ cpu: 16, memory: 64 * GIB, gpus: [] });
  });

  test("is limited by the control group, in either version", async () => {
    const limited = { memoryLimitBytes: () => 4 * GIB };
    const second = { "/proc/self/cgroup": "0::/box\n", "/sys/fs/cgroup/box/cpu.max": "150000 100000\n" };
    expect(await detect(machine(second, limited))).toMatchObject({ cpu: 1.5, memory: 4 * GIB });
    const first = {
      "/proc/self/cgroup": "4:cpu,cpuacct:/box\n",
      "/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "200000",
      "/sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000",
    };
    expect(await detect(machine(first))).toMatchObject({ cpu: 2 });
  });

  test("is all of it without a limit of the control group", async () => {
    const files = { "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "max 100000\n" };
    const unlimited = { memoryLimitBytes: () => Number.MAX_SAFE_INTEGER };
    expect(await detect(machine(files, unlimited))).toMatchObject({ cpu: 16, memory: 64 * GIB });
  });

  test("is its GPUs by their ids and kinds", async () => {
    const asked: string[] = [];
    const found = await detect(
      machine(
        {},
        {
          async run(program, args) {
            asked.push(program, ...args);
            return "GPU-1, NVIDIA A100-SXM4-80GB\nGPU-2, Tesla T4\n\nNo devices were found\n";
          },
        },
      ),
    );
    expect(asked).toEqual(["nvidia-smi", "--query-gpu=uuid,name", "--format=csv,noheader"]);
    expect(found.gpus).toEqual([
      { id: "GPU-1", kind: "a100" },
      { id: "GPU-2", kind: "t4" },
    ]);
  });

  test.each([
    ["NVIDIA A100-PCIE-40GB", "a100"],
    ["NVIDIA H100 80GB HBM3", "h100"],
    ["NVIDIA GeForce RTX 4090", "rtx-4090"],
    ["NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"],
    ["NVIDIA L4", "l4"],
    ["Tesla V100-SXM2-16GB", "v100"],
  ])("a %s is called %s", (name, kind) => expect(gpuKind(name)).toBe(kind));
});

describe("what a worker declares", () => {
  // The content of a file has no type before it is parsed.
  const parse = (given: unknown) => ComputeShape.safeParse(given as object);

  test("replaces what was detected, amount by amount", () => {
    const declared = ComputeShape.parse({
      memory: "8 GiB",
      licences: 2,
      gpus: [{ id: "0", kind: "t4" }, { id: "1" }],
    });
    expect(stockOf(declared, { cpu: 4, memory: 64 * GIB, gpus: [{ id: "GPU-1" }] }).amounts).toEqual({
      cpu: 4,
      memory: 8 * GIB,
      licences: 2,
      gpu: 2,
      "gpu:t4": 1,
    });
    expect(
      stockOf(ComputeShape.parse({ gpus: [] }), { cpu: 4, memory: 1, gpus: [{ id: "GPU-1" }] }).gpus,
    ).toEqual([]);
  });

  test("is refused by name if it is invalid", () => {
    expect(parse({ memory: "lots" }).error?.issues).toMatchObject([{ path: ["memory"] }]);
    expect(parse({ cpu: -1 }).error?.issues).toMatchObject([{ path: ["cpu"] }]);
    expect(parse({ gpu: 2 }).error?.issues).toMatchObject([{ path: ["gpu"] }]);
    expect(parse({ gpus: [{ id: "0" }, { id: "0" }] }).error?.issues).toMatchObject([{ path: ["gpus"] }]);
    expect(parse({ "Big Licence": 1 }).error?.issues).toMatchObject([{ path: ["Big Licence"] }]);
  });

  test("can come from the environment, which replaces the file", () => {
    const environment = { TOWPATH_COMPUTE: "cpu=8, memory=30GiB,licences=2", TOWPATH_GPUS: "0=a100,MIG-7" };
    expect(parse(overridden({ cpu: 1, seats: 3 }, environment)).data).toEqual({
      cpu: 8,
      memory: 30 * GIB,
      own: { licences: 2, seats: 3 },
      gpus: [{ id: "0", kind: "a100" }, { id: "MIG-7" }],
    });
    expect(overridden({ cpu: 1 }, { TOWPATH_GPUS: "none" })).toEqual({ cpu: 1, gpus: [] });
    expect(overridden(undefined, {})).toBe(undefined);
    expect(parse(overridden({}, { TOWPATH_COMPUTE: "cpu" })).success).toBe(false);
    expect(parse(overridden({}, { TOWPATH_GPUS: "," })).success).toBe(false);
  });
});

const stock: Stock = stockOf(
  ComputeShape.parse({
    gpus: [
      { id: "0", kind: "a100" },
      { id: "1", kind: "t4" },
      { id: "2", kind: "t4" },
    ],
    seats: 1,
  }),
  { cpu: 1, memory: GIB, gpus: [] },
);

describe("what an attempt takes", () => {
  test("is of the kind asked for, or else of the kind with the most free devices", () => {
    expect(take(stock, [], { gpu: { count: 1, kind: "a100" } }).gpus).toEqual(["0"]);
    expect(take(stock, [], { gpu: { count: 1 } }).gpus).toEqual(["1"]);
    expect(take(stock, [], { cpu: 0.5 }).gpus).toEqual([]);
  });

  test("leaves the kinds that exist", () => {
    const one = take(stock, [], { gpu: { count: 1 } });
    expect(freeOf(stock, [one])).toMatchObject({ gpu: 2, "gpu:a100": 1, "gpu:t4": 1 });
  });

  test("is refused with what is missing", () => {
    const held = [take(stock, [], { amounts: { seats: 1 } })];
    expect(() => take(stock, held, { amounts: { seats: 1 } })).toThrow(
      new DoesNotFit("It needs 1 × seats; this worker has 0 × seats free."),
    );
    expect(() => take(stock, [], { cpu: 2, gpu: { count: 2, kind: "a100" } })).toThrow(
      new DoesNotFit("It needs 2 CPUs and 2 × a100; this worker has 1 CPU and 1 × a100 in all."),
    );
  });

  test("is never a device of another attempt, in any order of starts and ends", () => {
    const kind = fc.constantFrom(null, "a100", "t4");
    const asks = fc.record({
      gpu: fc.record({ count: fc.integer({ min: 1, max: 2 }), kind }),
      ends: fc.nat(3),
    });
    fc.assert(
      fc.property(fc.array(asks, { maxLength: 20 }), (steps) => {
        let held: Taken[] = [];
        for (const { gpu, ends } of steps) {
          try {
            held = [...held, take(stock, held, { gpu })];
          } catch (failure) {
            expect(failure).toBeInstanceOf(DoesNotFit);
          }
          const ids = held.flatMap((one) => one.gpus);
          expect(new Set(ids).size).toBe(ids.length);
          held = held.filter((_, index) => index !== ends);
        }
        if (held.length === 0) expect(freeOf(stock, held)).toEqual(stock.amounts);
      }),
    );
  });
});
