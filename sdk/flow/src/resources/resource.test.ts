import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import {
  ctx,
  flow,
  fromSecret,
  InvalidDefinition,
  InvalidResource,
  OutsideOfRun,
  resource,
  SecretMissing,
  task,
} from "../index.ts";
import { testRun } from "../testing.ts";
import { overridden } from "./settings.ts";
import { readStageFile, STAGE_FILE, stagedResources } from "./stage-file.ts";
import { unknownSettings } from "./stage-settings.ts";

/** A resource that writes down what happens to it. */
function noted(events: string[], close: () => unknown = () => {}) {
  return resource({
    name: "warehouse",
    config: z.object({ url: z.string(), user: z.string().default("reader"), password: z.string() }),
    settings: { url: "postgres://dev", password: fromSecret("db-password") },
    open: async ({ url, user, password }) => {
      events.push(`open ${url} ${user} ${password}`);
      return { rows: (count: number) => Array.from({ length: count }, (_, index) => index) };
    },
    close: async (connection) => {
      events.push(`close ${connection.rows(1).length}`);
      await close();
    },
  });
}
const secrets = { "db-password": "hunter2" };

test("a resource is opened once in a run by the first who asks, with its secrets, and closed at the end", async () => {
  const events: string[] = [];
  const warehouse = noted(events);
  const count = task({ name: "count" }, async (rows: number) => (await warehouse.get()).rows(rows).length);
  const run = await testRun(
    flow({ name: "f" }, async () => {
      events.push("begin");
      const counts = await count.map([1, 2, 3]);
      events.push("end");
      return counts;
    }),
    {},
    { secrets },
  );
  expect(run.result).toEqual([1, 2, 3]);
  expect(events).toEqual(["begin", "open postgres://dev reader hunter2", "end", "close 1"]);
});

test("it is closed after a failure and a cancellation too, after the hooks", async () => {
  for (const way of ["fail", "cancel"]) {
    const events: string[] = [];
    const warehouse = noted(events);
    const stop = new AbortController();
    const hook = async () => void events.push(`hook ${(await warehouse.get()).rows(2).length}`);
    const whole = flow({ name: "f", onFailure: hook, onCancellation: hook }, async () => {
      await warehouse.get();
      if (way === "fail") throw new Error("no");
      stop.abort();
      ctx.signal.throwIfAborted();
    });
    await testRun(whole, {}, { secrets, signal: stop.signal });
    expect(events.slice(1)).toEqual(["hook 2", "close 1"]);
  }
});

test("closing that fails is warned of and changes no outcome", async () => {
  const warehouse = noted([], () => Promise.reject(new Error("connection reset")));
  const run = await testRun(
    flow({ name: "f" }, async () => void (await warehouse.get())),
    {},
    { secrets },
  );
  expect(run.outcome).toBe("completed");
  expect(run.logs).toMatchObject([{ level: "warn", text: expect.stringContaining("connection reset") }]);
});

test("an opening that failed is tried again by the next who asks", async () => {
  let opened = 0;
  const flaky = resource({
    name: "flaky",
    open: async () => {
      if (++opened === 1) throw new Error("refused");
      return opened;
    },
  });
  const use = task({ name: "use", retries: 1 }, async () => await flaky.get());
  expect((await testRun(flow({ name: "f" }, async () => await use()))).result).toBe(2);
});

test("settings are checked by the schema, and name the secret that is missing", async () => {
  const warehouse = noted([]);
  const whole = flow({ name: "f" }, async () => void (await warehouse.get()));
  expect((await testRun(whole)).error).toBeInstanceOf(SecretMissing);
  const typed = resource({
    name: "typed",
    config: z.object({ port: z.coerce.number().int() }),
    settings: { port: fromSecret("port") },
    open: async ({ port }) => port + 1,
  });
  const port = flow({ name: "f" }, async () => await typed.get());
  const bad = await testRun(port, {}, { secrets: { port: "many" } });
  expect(bad.error).toBeInstanceOf(InvalidResource);
  expect(bad.error).toMatchObject({ faults: [{ path: "settings.port" }] });
  expect((await testRun(port, {}, { secrets: { port: "8" } })).result).toBe(9);
});

test("a fake of a test is neither opened nor closed", async () => {
  const events: string[] = [];
  const warehouse = noted(events);
  const whole = flow({ name: "f" }, async () => (await warehouse.get()).rows(9));
  const run = await testRun(whole, {}, { resources: [warehouse.fake({ rows: () => [42] })] });
  expect(run.result).toEqual([42]);
  expect(events).toEqual([]);
});

test("a stage puts its settings over those in the code, field by field", async () => {
  expect(overridden({ url: "a", pool: { size: 1, idle: 2 } }, { url: "b", pool: { size: 9 } })).toEqual({
    url: "b",
    pool: { size: 9, idle: 2 },
  });
  expect(overridden({ password: "plain" }, { password: fromSecret("p") })).toEqual({
    password: fromSecret("p"),
  });
  const before = process.cwd();
  const folder = await mkdtemp(join(tmpdir(), "towpath-stage-"));
  try {
    process.chdir(folder);
    expect(readStageFile()).toBeNull();
    const file = { stage: "prod", resources: { warehouse: { url: "postgres://prod" } } };
    await writeFile(STAGE_FILE, JSON.stringify(file));
    expect(stagedResources()("warehouse")).toEqual({ overrides: { url: "postgres://prod" } });
    expect(stagedResources()("other")).toEqual({ overrides: undefined });
    await writeFile(STAGE_FILE, "{}");
    expect(() => readStageFile()).toThrow(InvalidDefinition);
  } finally {
    process.chdir(before);
    await rm(folder, { recursive: true });
  }
});

test("a resource belongs to a running flow, and needs a name", async () => {
  await expect(noted([]).get()).rejects.toBeInstanceOf(OutsideOfRun);
  expect(() => resource({ name: "No Spaces", open: () => 1 })).toThrow(InvalidDefinition);
});

test("a setting of a stage that the resource does not have ends the run before anything is opened", async () => {
  const before = process.cwd();
  const folder = await mkdtemp(join(tmpdir(), "towpath-stage-"));
  try {
    process.chdir(folder);
    await writeFile(STAGE_FILE, JSON.stringify({ stage: "prod", resources: { warehouse: { urll: "x" } } }));
    const events: string[] = [];
    const warehouse = noted(events);
    const whole = flow({ name: "f" }, async () => void (await warehouse.get()));
    expect(await whole.run({}).catch((error: unknown) => error)).toMatchObject({
      name: "InvalidResource",
      faults: [{ path: "settings.urll", suggestion: 'did you mean "url"?' }],
    });
    expect(events).toEqual([]);
  } finally {
    process.chdir(before);
    await rm(folder, { recursive: true });
  }
});

test("the type of a stage's settings knows the names and values of the resource", () => {
  const typed = noted([]);
  const plain = resource({
    name: "plain",
    settings: { host: "dev", login: { user: "me", password: fromSecret("p") } },
    open: ({ host }) => host,
  });
  expect(typed.settings({ url: "postgres://prod" })).toEqual({
    resource: "warehouse",
    settings: { url: "postgres://prod" },
  });
  plain.settings({ login: { password: "text", user: fromSecret("user") } });
  // @ts-expect-error the resource has no such setting
  typed.settings({ urll: "postgres://prod" });
  // @ts-expect-error a URL is text
  typed.settings({ url: 5 });
  // @ts-expect-error the resource has no such setting
  plain.settings({ login: { pasword: "text" } });
});

test("without a schema the settings in the code define the names, and an empty object allows any", () => {
  const declared = { name: "x", settings: { host: "dev", headers: {} } };
  const unknown = (given: unknown) =>
    unknownSettings(declared, { path: "settings", given }).map(({ path }) => path);
  expect(unknown({ host: "prod", headers: { accept: "text" } })).toEqual([]);
  expect(unknown({ hots: "prod" })).toEqual(["settings.hots"]);
  const open = { name: "y", config: z.looseObject({ host: z.string() }) };
  expect(unknownSettings(open, { path: "settings", given: { other: 1 } })).toEqual([]);
});
