/** The tabs of a deployment's page, in their order. */
export const TABS = ["overview", "schedules", "versions"] as const;
export type Tab = (typeof TABS)[number];

/** The part of the address that selects what a deployment's page shows. */
export interface DeploymentSearch {
  readonly tab?: Tab;
  /** The version that is shown. @default the latest */
  readonly version?: number;
  /** The version to compare it with. @default the previous one */
  readonly since?: number;
}

function versionOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value > 0 ? value : undefined;
}

/** Reads the address. Unknown values are left out. */
export function readDeploymentSearch(search: Record<string, unknown>): DeploymentSearch {
  const tab = TABS.find((one) => one === search.tab);
  const [version, since] = [versionOf(search.version), versionOf(search.since)];
  return {
    ...(tab !== undefined && { tab }),
    ...(version !== undefined && { version }),
    ...(since !== undefined && { since }),
  };
}
