import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { pageFolder } from "./page.ts";
import { runWith, venvWith } from "./venv.ts";

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const timeout = 1_200_000;

const CLUSTERS = [
  { name: "Dask", packages: ["distributed"], file: "dask_test.py" },
  { name: "Ray", packages: ["ray"], file: "ray_test.py" },
];

describe("tasks on a cluster", () => {
  test.each(CLUSTERS)("run on $name", { timeout }, async ({ packages, file }) => {
    const { code, output } = await runWith(await venvWith(packages), ["-B", here(file)]);
    expect(output).toMatch(/^OK/m);
    expect(code).toBe(0);
  });

  test("the how-to runs on Dask", { timeout }, async () => {
    const python = await venvWith(["distributed"]);
    await using page = await pageFolder("docs/how-to/clusters.md", "dask");
    expect(page.commands).toEqual([["tune.py"]]);
    const args = [here("cluster_page.py"), "tune.py"];
    const { code, output } = await runWith(python, args, { cwd: page.folder });
    expect(output).toContain("scoring 8");
    expect(output).toMatch(/tune completed in .*\n\s*24/);
    expect(code).toBe(0);
  });

  test("the how-to runs on Ray", { timeout }, async () => {
    const python = await venvWith(["ray"]);
    await using page = await pageFolder("docs/how-to/clusters.md", "ray");
    expect(page.commands).toHaveLength(1);
    const args = ["-c", "from fits import fits; fits()"];
    expect(page.commands[0]?.join(" ")).toBe(`-c "${args[1]}"`);
    const env = { RAY_ADDRESS: "local", RAY_USAGE_STATS_ENABLED: "0" };
    const { code, output } = await runWith(python, args, { cwd: page.folder, env });
    expect(output).toMatch(/fits completed in .*\n\s*80/);
    expect(code).toBe(0);
  });
});
