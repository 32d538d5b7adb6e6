import { Compute } from "@towpath/contract";
import { describe, expect, test } from "vitest";
import { deployment, settingsOf } from "../config.ts";
import { flow, InvalidDefinition } from "../index.ts";
import { computeOf } from "./compute.ts";

const project = { pool: "local" };
const compute = { cpu: 2, memory: "4 GiB", gpu: { count: 1, kind: "a100" }, licences: 1 };
const signed = {
  cpu: 2,
  memoryBytes: 4 * 2 ** 30,
  gpu: { count: 1, kind: "a100" },
  amounts: { licences: 1 },
};

describe("what a flow needs", () => {
  test("is signed as amounts of the spec", async () => {
    const one = deployment(flow({ name: "train", compute }, () => 1));
    expect((await settingsOf(one, project)).compute).toEqual(signed);
    expect(Compute.parse(signed)).toEqual(signed);
  });

  test("is what its deployment says instead, which may be nothing", async () => {
    const train = flow({ name: "train", compute }, () => 1);
    const small = deployment(train, { name: "small", compute: { gpu: 2 } });
    expect((await settingsOf(small, project)).compute).toEqual({
      gpu: { count: 2, kind: null },
      amounts: {},
    });
    expect((await settingsOf(deployment(train, { compute: {} }), project)).compute).toEqual({ amounts: {} });
  });

  test("may be that of a command", async () => {
    const one = deployment({ name: "py", command: ["python3", "train.py"], compute: { cpu: 0.5 } });
    expect((await settingsOf(one, project)).compute).toEqual({ cpu: 0.5, amounts: {} });
  });

  test("is nothing but a place if nobody says", async () => {
    expect((await settingsOf(deployment(flow({ name: "f" }, () => 1)), project)).compute).toEqual({
      amounts: {},
    });
  });
});

describe("nonsense is refused, naming the field", () => {
  test.each([
    [{ cpu: 0 }, "cpu must be a number of cores above 0"],
    [{ cpu: "2" }, "cpu must be a number of cores above 0"],
    [{ cpu: Number.NaN }, "cpu must be a number of cores above 0"],
    [{ memory: 4096 }, 'memory must be a size such as "4 GiB"'],
    [{ memory: "much" }, 'memory must be a size such as "4 GiB"'],
    [{ gpu: 0 }, "gpu.count must be a whole number from 1"],
    [{ gpu: { count: 1.5 } }, "gpu.count must be a whole number from 1"],
    [{ gpu: { count: 1, kind: "A100!" } }, "gpu.kind must be a kind in lower case"],
    [{ gpu: { count: 1, type: "a100" } }, '"type" is not an option of gpu'],
    [{ gpu: "one" }, "gpu must be a number of devices"],
    [{ Licences: 1 }, '"Licences" is not a valid name of an amount'],
    [{ licences: -1 }, "licences must be a number above 0"],
    [{ licences: 0.0001 }, "licences must be a number above 0 with at most three decimal places"],
    [Object.fromEntries("abcdefghi".split("").map((name) => [name, 1])), "at most 8 amounts"],
    [[1], "compute must be an object"],
  ])("%j", (given, message) => {
    expect(() => computeOf('flow "train"', given)).toThrow(InvalidDefinition);
    expect(() => computeOf('flow "train"', given)).toThrow(message);
    expect(() => computeOf('flow "train"', given)).toThrow('flow "train"');
  });

  test("where it is declared: by a flow and by a deployment", () => {
    // What JavaScript may write.
    const wrong = { cpu: -1 };
    expect(() => flow({ name: "train", compute: wrong }, () => 1)).toThrow('flow "train": compute: cpu');
    const fine = flow({ name: "train" }, () => 1);
    expect(() => deployment(fine, { compute: wrong })).toThrow('deployment "train": compute: cpu');
  });
});
