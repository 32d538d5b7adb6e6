import type { Flows } from "./languages.fixture.ts";

const TYPESCRIPT = `
import { access, writeFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { ctx, flow, task } from "towpath";
import { z } from "zod";

interface Row { id: number }
const load = task({ name: "load" }, async (): Promise<Row[]> => [0, 1, 2].map((id) => ({ id })));
const clean = task({ name: "clean" }, async (rows: Row[]) => rows.filter(({ id }) => id > 0));
const store = task({ name: "store" }, async (rows: Row[]) => ({ ref: await ctx.save("rows", rows) }));
const score = task({ name: "score" }, async (row: Row, _scale: number) => ({ of: row.id }));
const size = task({ name: "size" }, async (rows: Row[]) => rows.length);
const say = task({ name: "say" }, async (count: number) => "rows: " + count);
const inner = flow({ name: "inner", input: z.object({ all: z.array(z.object({ of: z.number() })) }) }, async ({ all }) => ({ all }));
const hold = task({ name: "hold" }, async (folder: string) => {
  await writeFile(folder + "/holding", String(process.pid));
  while (!(await access(folder + "/go").then(() => true, () => false))) await pause(20);
});
const report = task({ name: "report" }, async (..._parts: unknown[]) => {});
export const lineage = flow({ name: "lineage", input: z.object({ folder: z.string() }) }, async ({ folder }) => {
  const rows = await clean(await load());
  const stored = await store(rows);
  const scored = await score.map(await ctx.load(stored.ref), { args: [2] });
  await say(await size(rows));
  await hold(folder);
  const { all } = await inner.run({ all: scored });
  await report({ first: scored[0], rows: rows.slice(1), ref: { ...stored.ref } }, all);
});
`;
const TYPESCRIPT_CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { lineage } from "./flow.ts";
export default defineConfig({
  project: "lineage",
  pool: "local",
  stages: { typescript: {} },
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(lineage, { retry: { limit: 1, delayMs: 0, causes: ["killed", "lost"] } })],
});
`;
const PYTHON = `
import os, time
from pathlib import Path
from typing import Any
from towpath import flow, task

Rows = list[dict[str, int]]

@task
def load() -> Rows:
    return [{"id": at} for at in range(3)]

@task
def clean(rows: Rows) -> Rows:
    return [row for row in rows if row["id"] > 0]

@task
def store(rows: Rows) -> dict[str, Rows]:
    return {"rows": [dict(row) for row in rows]}

@task
def score(row: dict[str, int], _scale: int) -> dict[str, int]:
    return {"of": row["id"]}

@task
def size(rows: Rows) -> int:
    return len(rows)

@task
def say(count: int) -> str:
    return f"rows: {count}"

@flow
def inner(all: list[Any]) -> dict[str, Any]:
    return {"all": [dict(one) for one in all]}

@task
def hold(folder: str) -> None:
    (Path(folder) / "holding").write_text(str(os.getpid()))
    while not (Path(folder) / "go").exists():
        time.sleep(0.02)

@task
def report(*_parts: Any) -> None: ...

@flow
def lineage(folder: str) -> None:
    rows = clean(load())
    stored = store(rows)
    scored = score.map(stored["rows"], 2).results()
    say(size(rows))
    hold(folder)
    report({"first": scored[0], "rows": rows[1:], "stored": stored["rows"][:1]}, inner(scored)["all"])
`;
const PYTHON_CONFIG = `
from flow import lineage
from towpath.config import deployment, oci_layout, project, stage

config = project(
    "lineage",
    pool="local",
    stages={"python": stage()},
    registry=oci_layout(REGISTRY),
    deployments=[deployment(lineage, retry={"limit": 1, "delay": 0, "causes": ["killed", "lost"]})],
)
`;

/** A flow that passes data in several ways around a task, which waits until the test lets it continue. */
export const LINEAGE: Flows = {
  typescript: { "flow.ts": TYPESCRIPT, "towpath.config.ts": TYPESCRIPT_CONFIG },
  python: { "flow.py": PYTHON, "towpath_config.py": PYTHON_CONFIG },
};
