import { access } from "node:fs/promises";
import { join } from "node:path";
import { deployProject } from "../e2e/fixture.ts";
import type { Stack } from "../harness/index.ts";

/** Lines that `floods` writes: many more than its worker's journal can hold. */
export const FLOOD_LINES = 30_000;

/** Markdown of an attacker. */
const MARKDOWN = [
  "# Quality of the day",
  "**12** of 14 stations reported; ~~two~~ none was refused.",
  "| station | °C |\n| --- | ---: |\n| Kiel | 12.5 |\n| Bremen | 14.0 |",
  "- [x] completeness\n- [ ] drift, see [the notes](https://notes.example/drift)",
  "[a trap](javascript:document.title='owned') <img src=x onerror=\"document.title='owned'\"> <script>document.title='owned'</script>",
  "![beacon](https://beacon.example/seen.png)",
  "```\nconst rows = 12;\n```",
].join("\n\n");

/** A red dot of one pixel, and an SVG with a script. */
export const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
const DRAWING = `<svg xmlns="http://www.w3.org/2000/svg" width="120" height="40"><script>document.title="owned"</script><image href="https://beacon.example/svg.png"/><rect width="120" height="40" rx="6" fill="teal"/></svg>`;

const FLOWS = `
import { access, writeFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { artifact, flow, job, log, suspend, task } from "towpath";
import { z } from "zod";

const isThere = (path: string) => access(path).then(() => true, () => false);
const until = async (path: string) => {
  while (!(await isThere(path))) await pause(20);
};
const input = z.object({ folder: z.string() });

export const shows = flow({ name: "shows", input }, async ({ folder }) => {
  await artifact.markdown({ key: "report", title: "Report", text: ${JSON.stringify(MARKDOWN)} });
  await artifact.table({ key: "rates", title: "Rates", columns: ["station", "°C", "note"], rows: [["Kiel", 12.5, "<b>bold</b>"], ["Bremen", -3, null]] });
  await artifact.image({ key: "dot", title: "A dot", mediaType: "image/png", bytes: Buffer.from("${PIXEL}", "base64") });
  await artifact.image({ key: "drawing", title: "A drawing", mediaType: "image/svg+xml", bytes: Buffer.from(${JSON.stringify(DRAWING)}) });
  await artifact.link({ key: "catalogue", title: "Catalogue", url: "https://catalogue.example/rates", text: "Open the catalogue" });
  const converted = artifact.progress({ key: "converted", title: "Converted", total: 120, unit: "files" });
  await converted.update(30);
  await until(folder + "/go");
  await converted.update(120);
});

export const floods = flow({ name: "floods", input }, async ({ folder }) => {
  log.info("the first line");
  for (let n = 0; n < ${FLOOD_LINES}; n++) log.info("line " + n + " " + "x".repeat(200));
  // When one of these lines arrives, the journal has space again.
  while (!(await isThere(folder + "/go"))) {
    log.info("still here");
    await pause(100);
  }
  log.info("the last line");
});

export const holds = flow({ name: "holds", input }, async ({ folder }) => {
  await writeFile(folder + "/holding", "");
  await until(folder + "/go");
});
export const elsewhere = flow({ name: "elsewhere" }, async () => undefined);

const ingest = task({ name: "ingest" }, async () => 1);
export const part = flow({ name: "part", input: z.object({ ok: z.boolean() }) }, async ({ ok }) => {
  await ingest();
  if (!ok) throw new Error("this part is spoiled");
});
export const whole = flow({ name: "whole" }, async (_, ctx) => {
  await ctx.runDeployment("part", { ok: true });
  await ctx.runDeployment("part", { ok: false }).catch(() => undefined);
});

const export_ = job({
  name: "export",
  pollEvery: "1s",
  submit: async (key: string, { folder }: { folder: string }) => ({ folder, key }),
  find: async () => null,
  poll: async ({ folder }) => (await isThere(folder + "/go")) ? { state: "completed" } : { state: "running", says: "PENDING: 3 of 9 partitions" },
});
export const exports_ = flow({ name: "exports", input }, async ({ folder }) => {
  await suspend.job(export_, { folder });
  log.info("exported");
});

export const twice = flow({ name: "twice", input }, async ({ folder }) => {
  if (await isThere(folder + "/again")) return;
  await writeFile(folder + "/again", "");
  process.exit(3);
});
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import * as flows from "./flows/panels.ts";

export default defineConfig({
  project: "panels",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [
    deployment(flows.shows),
    deployment(flows.floods),
    deployment(flows.holds, { concurrency: { limit: 1 } }),
    deployment(flows.elsewhere, { pools: ["gpu"] }),
    deployment(flows.part),
    deployment(flows.whole, { mayStart: ["part"] }),
    deployment(flows.exports_),
    deployment(flows.twice, { retry: { limit: 1, delayMs: 0 } }),
  ],
});
`;

/** Deploys flows with content for each panel of a run's page. */
export async function deployPanels(stack: Stack): Promise<void> {
  await stack.client.createPool({ body: { name: "gpu" } });
  await deployProject(stack, { "flows/panels.ts": FLOWS, "towpath.config.ts": CONFIG });
}

/** Whether a flow has created its file. */
export const isHolding = (folder: string) =>
  access(join(folder, "holding")).then(
    () => true,
    () => false,
  );
