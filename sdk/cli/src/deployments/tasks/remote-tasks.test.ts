import { expect, test } from "vitest";
import { folderWith } from "../../fixture.ts";
import { readOutlines } from "./outlines.ts";
import { remoteTasks } from "./remote-tasks.ts";

async function usesIn(files: Record<string, string>) {
  await using folder = await folderWith(files);
  const uses = remoteTasks(await readOutlines(folder.root, "flow.ts"));
  return Object.fromEntries([...uses].map(([task, use]) => [task, [[...use.pools].sort(), use.isOpen]]));
}

const TASKS = `
  import { task } from "towpath";
  export const BIG = "big";
  export const train = task({ name: "train" }, async () => 1);
  export const scored = task({ name: "score", pool: "cpu" }, async () => 1);
  export default train;
`;

test("calls of tasks in other pools are found, wherever the task and the pool's name are declared", async () => {
  const uses = await usesIn({
    "tasks.ts": TASKS,
    "flow.ts": `
      import { flow, task } from "towpath";
      import again, * as all from "./tasks.ts";
      import { BIG, train as trains, scored } from "./tasks.ts";
      const own = task({ name: "own" }, async () => 1);
      const onGpu = own.with({ retries: 2 }).with({ pool: "gpu" });
      export const body = flow({ name: "body" }, async () => {
        await Promise.all([onGpu(), trains.with({ pool: BIG })(), scored(), again.with({ pool: "fast" }).map([])]);
        await all.train.with({ pool: "starred" })();
        const chosen = Math.random() > 1 ? "gpu" : "cpu";
        await own.with({ pool: chosen })();
        await somethingElse.with({ pool: "no" });
      });
    `,
  });
  expect(uses).toEqual({
    own: [["gpu"], true],
    train: [["big", "fast", "starred"], false],
    score: [["cpu"], false],
  });
});

test("a parameter with the name of a task or a pool is not taken for it", async () => {
  const uses = await usesIn({
    "flow.ts": `
      import { flow, task } from "towpath";
      const BIG = "big";
      const train = task({ name: "train" }, async () => 1);
      const call = (train) => train.with({ pool: "gpu" })();
      const inPool = (BIG) => train.with({ pool: BIG })();
      export const body = flow({ name: "body" }, async () => [await call(train), await inPool("other")]);
    `,
  });
  expect(uses).toEqual({ train: [[], true] });
});

test("a flow without such calls has no remote tasks", async () => {
  expect(await usesIn({ "flow.ts": TASKS.replace(', pool: "cpu"', "") })).toEqual({});
});

test.each([
  ["by its options", `await task({ name: "inner", pool: "gpu" }, async () => 1)();`],
  ["by with", `const inner = task({ name: "inner" }, async () => 1); await inner.with({ pool: "gpu" })();`],
])("a task that is made in a function and given a pool %s is refused with its module", async (_how, code) => {
  const text = `import { flow, task } from "towpath"; export const body = flow({ name: "body" }, async () => { ${code} });`;
  await expect(usesIn({ "flow.ts": text })).rejects.toThrow(
    'flow.ts: the task "inner" runs in another pool, but it is created inside a function.',
  );
});
