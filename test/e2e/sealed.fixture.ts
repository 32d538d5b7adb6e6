import postgres from "postgres";
import type { Flows } from "./languages.fixture.ts";

const TYPESCRIPT = `
import { artifact, ctx, flow, log, suspend, task } from "towpath";
import { z } from "zod";

const fail = task({ name: "fail", retries: 1, retryDelay: "1ms" }, async (marker: string) => {
  throw new RangeError("told-by-a-task " + marker);
});
const input = z.object({ marker: z.string().regex(/canary/).default("canary-in-a-default-6b1f") });
export const leaky = flow({ name: "leaky", input, runName: "named {marker}" }, async ({ marker }) => {
  log.info("logged " + marker);
  console.log("printed " + marker + " " + process.env.MODE);
  await artifact.markdown({ key: "note", title: "titled " + marker, text: "shown " + marker });
  await fail(marker).catch(() => {});
  throw new Error("thrown " + marker);
});
export const asks = flow({ name: "asks", input: z.object({ marker: z.string() }) }, async ({ marker }) => {
  const event = await suspend.event("landed", { key: "k-" + marker, schema: z.object({ said: z.string() }) });
  const answer = await suspend.input({ title: "Is it right, " + marker + "?", schema: z.object({ why: z.string().describe(marker) }) });
  log.info("heard " + event.said + " " + answer.why);
  try {
    await ctx.runDeployment("leaky", { marker: "canary-child-" + marker });
  } catch (error) {
    log.info("child: " + error.message);
  }
});
`;
const CONFIG = `
import { cron, defineConfig, deployment, ociLayout } from "towpath/config";
import { z } from "zod";
import { asks, leaky } from "./flows/leaky.ts";
export default defineConfig({
  project: "sealed",
  pool: "local",
  stages: { typescript: {} },
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [
    deployment(leaky, {
      env: { MODE: "canary-in-env-93ad" },
      schedules: [{ name: "hourly", timing: cron("0 0 1 1 *"), parameters: { marker: "canary-in-a-schedule-77aa" } }],
    }),
    deployment(asks, { mayStart: ["leaky"] }),
    deployment({ name: "plain", input: z.object({ marker: z.string() }), command: ["sh", "-c", "cat $TOWPATH_PARAMETERS_FILE; exit 3"] }),
  ],
});
`;
const PYTHON = `
import os
from dataclasses import dataclass
from towpath import artifact, flow, log, run_child, suspend, task

@dataclass
class Said:
    said: str

@dataclass
class Why:
    why: str

@task(retries=1, retry_delay="1ms")
def fail(marker: str) -> None:
    raise ValueError("told-by-a-task " + marker)

@flow(run_name="named {marker}")
def leaky(marker: str = "canary-in-a-default-6b1f") -> None:
    log.info("logged " + marker)
    print("printed " + marker + " " + os.environ["MODE"], flush=True)
    artifact.markdown("note", "shown " + marker, title="titled " + marker)
    try:
        fail(marker)
    except Exception:
        pass
    raise RuntimeError("thrown " + marker)

@flow
def asks(marker: str) -> None:
    event = suspend.event("landed", Said, key="k-" + marker)
    answer = suspend.input("Is it right, " + marker + "?", Why)
    log.info("heard " + event.said + " " + answer.why)
    try:
        run_child("leaky", {"marker": "canary-child-" + marker})
    except Exception as error:
        log.info("child: " + str(error))
`;
const PYTHON_CONFIG = `
from flows.leaky import asks, leaky
from towpath.config import cron, deployment, oci_layout, project, stage

config = project(
    "sealed",
    pool="local",
    stages={"python": stage()},
    registry=oci_layout(REGISTRY),
    deployments=[
        deployment(
            leaky,
            env={"MODE": "canary-in-env-93ad"},
            schedules=[{"name": "hourly", "timing": cron("0 0 1 1 *"), "parameters": {"marker": "canary-in-a-schedule-77aa"}}],
        ),
        deployment(asks, may_start=["leaky"]),
    ],
)
`;

/** Flows that put their parameter into everything that a flow can report. */
export const LEAKING: Flows = {
  typescript: { "flows/leaky.ts": TYPESCRIPT, "towpath.config.ts": CONFIG },
  python: { "flows/leaky.py": PYTHON, "towpath_config.py": PYTHON_CONFIG },
};

/** How a text looks in a dump: plain, in hex, and in base64 at each of the three alignments. */
function formsOf(text: string): string[] {
  const bytes = Buffer.from(text);
  const shifted = [0, 1, 2].map((shift) => {
    const padded = Buffer.concat([Buffer.alloc(shift), bytes]).toString("base64");
    // Only the characters that these bytes alone decide.
    return padded.slice(Math.ceil((shift * 8) / 6), Math.floor(((bytes.length + shift) * 8) / 6));
  });
  return [
    text,
    bytes.toString("hex"),
    ...shifted,
    ...shifted.map((one) => one.replaceAll("+", "-").replaceAll("/", "_")),
  ];
}

/** Every row of every table of a database that holds one of the texts, as `table: text`. A table that holds none is read, too. */
export async function findInDatabase(url: string, texts: readonly string[]): Promise<string[]> {
  const sql = postgres(url, { max: 1 });
  try {
    const tables = await sql<{ name: string }[]>`
      select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema') and not c.relispartition`;
    const found: string[] = [];
    for (const { name } of tables) {
      const rows = await sql.unsafe<{ row: string }[]>(`select row_to_json(t)::text as row from ${name} t`);
      for (const { row } of rows) {
        // A signed spec is base64 of JSON, and its parts may be base64 again.
        const inner = [...row.matchAll(/[\w-]{40,}/g)].map(([text]) =>
          Buffer.from(text, "base64url").toString("latin1"),
        );
        for (const text of texts)
          if (formsOf(text).some((form) => [row, ...inner].some((one) => one.includes(form))))
            found.push(`${name}: ${text}`);
      }
    }
    return found;
  } finally {
    await sql.end();
  }
}
