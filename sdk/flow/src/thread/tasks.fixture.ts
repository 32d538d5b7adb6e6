import { isMainThread } from "node:worker_threads";
import { artifact, ctx, fromSecret, log, NonRetryable, resource, secret, task } from "../index.ts";

export const database = resource({
  name: "database",
  settings: { password: fromSecret("p") },
  open: ({ password }) => ({ password, query: () => `rows for ${password}` }),
  close: ({ password }) => log.info(`closed ${password}`),
});
const inner = task({ name: "inner" }, async () => 1);

class Odd extends Error {
  override readonly name = "Odd";
}

export { Odd };

/** A task that is declared too late for a thread to find it. */
export function declareLate() {
  return task({ name: "late", thread: true }, async () => 1);
}

/** Tasks that run in threads, for tests: they stand at the top of a module that a thread can import. */
export const where = task({ name: "where", thread: true }, async (value: number) => {
  log.info(`value ${value}`);
  const bar = artifact.progress({ key: "bar", total: 2 });
  await bar.update(2);
  const ref = await ctx.save("half", { value: value / 2 });
  return { isMainThread, value, path: ctx.taskPath, runId: ctx.runId, half: await ctx.load(ref) };
});

export const spin = task({ name: "spin", thread: true }, (name: string): string => {
  log.info(name);
  for (let turns = 1; turns > 0; turns = (turns % 1000) + 1);
  return name;
});

export const uses = task({ name: "uses", thread: true, retries: 1, retryDelayMs: 0 }, async () => {
  const before = (await ctx.kept<number>("turns")) ?? 0;
  await ctx.keep("turns", before + 1);
  if (before === 0) throw new Error("half way");
  const again = await database.get();
  return [secret("p"), (await database.get()).query(), again === (await database.get()), before];
});

export const waits = task({ name: "waits", thread: true }, async () => {
  log.info("waiting");
  await new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)));
});

export const fails = task({ name: "fails", thread: true }, async (how: string) => {
  if (how === "type") throw new TypeError("outer", { cause: new RangeError("inner") });
  if (how === "final") throw new NonRetryable("never");
  if (how === "odd") throw new Odd("odd");
  if (how === "exit") process.exit(3);
  if (how === "secret") return secret("p");
  if (how === "resource") return (await database.get()).query();
  if (how === "task") return await inner();
  return () => how;
});
