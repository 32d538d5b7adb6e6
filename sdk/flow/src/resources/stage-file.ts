import { readFileSync } from "node:fs";
import type { Host } from "../engine/host.ts";
import { InvalidDefinition } from "../problem.ts";

/** The file with the stage of a deployment. It is pushed with the code, and never reaches the control plane. */
export const STAGE_FILE = "towpath.stage.json";

/** A stage in its file. */
export interface StageFile {
  readonly stage: string;
  /** Settings of resources by name. They override those in the code. */
  readonly resources: Readonly<Record<string, unknown>>;
  /** The stage's pool for each pool that the code names. */
  readonly pools: Readonly<Record<string, string>>;
}

function parsed(text: string): StageFile {
  const file: unknown = JSON.parse(text);
  const isStage =
    typeof file === "object" && file !== null && "stage" in file && typeof file.stage === "string";
  const resources = isStage && "resources" in file ? file.resources : null;
  if (!isStage || typeof resources !== "object" || resources === null)
    throw new InvalidDefinition(`${STAGE_FILE} does not contain { "stage": "…", "resources": { … } }.`);
  const pools = isStage && "pools" in file ? Object.entries(file.pools ?? {}) : [];
  return {
    stage: String(file.stage),
    resources: { ...resources },
    pools: Object.fromEntries(pools.map(([from, to]) => [from, String(to)])),
  };
}

/**
 * The stage of the code in the current folder; null if it has none.
 * @throws InvalidDefinition if the file is invalid.
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

/** Resources of the current folder's stage. The file is read when the first resource is opened. */
export function stagedResources(): Host["resource"] {
  let stage: StageFile | null | undefined;
  return (name) => {
    stage ??= readStageFile();
    return { overrides: stage?.resources[name] };
  };
}

/** The pool of the current folder's stage for a pool that the code names. */
export function stagedPool(pool: string): string {
  const pools = readStageFile()?.pools ?? {};
  return Object.hasOwn(pools, pool) ? (pools[pool] ?? pool) : pool;
}
