import { readFileSync } from "node:fs";
import type { Host } from "../engine/host.ts";
import { InvalidDefinition } from "../problem.ts";

/** The file beside the code that says for which stage it was deployed. It never leaves: it is pushed with the code. */
export const STAGE_FILE = "towpath.stage.json";

/** A stage as its file tells it. */
export interface StageFile {
  readonly stage: string;
  /** Settings of resources by their names, put over what the code says. */
  readonly resources: Readonly<Record<string, unknown>>;
  /** Pools that stand for those that the code calls tasks in. */
  readonly pools: Readonly<Record<string, string>>;
}

function parsed(text: string): StageFile {
  const file: unknown = JSON.parse(text);
  const isStage =
    typeof file === "object" && file !== null && "stage" in file && typeof file.stage === "string";
  const resources = isStage && "resources" in file ? file.resources : null;
  if (!isStage || typeof resources !== "object" || resources === null)
    throw new InvalidDefinition(`${STAGE_FILE} does not say { "stage": "…", "resources": { … } }.`);
  const pools = isStage && "pools" in file ? Object.entries(file.pools ?? {}) : [];
  return {
    stage: String(file.stage),
    resources: { ...resources },
    pools: Object.fromEntries(pools.map(([from, to]) => [from, String(to)])),
  };
}

/**
 * The stage that the code in the current folder was deployed for; null when it was for none.
 * @throws InvalidDefinition if there is a file that is none.
 */
export function readStageFile(): StageFile | null {
  let text: string;
  try {
    text = readFileSync(STAGE_FILE, "utf8");
  } catch {
    return null;
  }
  return parsed(text);
}

/** Resources as the current folder's stage has them. The file is read when the first of them is opened. */
export function stagedResources(): Host["resource"] {
  let stage: StageFile | null | undefined;
  return (name) => {
    stage ??= readStageFile();
    return { overrides: stage?.resources[name] };
  };
}

/** The pool that stands on the current folder's stage for one that the code names. */
export function stagedPool(pool: string): string {
  const pools = readStageFile()?.pools ?? {};
  return Object.hasOwn(pools, pool) ? (pools[pool] ?? pool) : pool;
}
