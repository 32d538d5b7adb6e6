/** The parts of a deployment's page, in their order. */
export const TABS = ["overview", "schedules", "versions"] as const;
/** One of them. */
export type Tab = (typeof TABS)[number];

/** What of a deployment's page is shown, as it stands in the address. */
export interface DeploymentSearch {
  readonly tab?: Tab;
  /** The version that is looked at; else the latest. */
  readonly version?: number;
  /** The version it is compared with; else the one before. */
  readonly since?: number;
}

function versionOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value > 0 ? value : undefined;
}

/** Reads the address; what it does not know is left out. */
export function readDeploymentSearch(search: Record<string, unknown>): DeploymentSearch {
  const tab = TABS.find((one) => one === search.tab);
  const [version, since] = [versionOf(search.version), versionOf(search.since)];
  return {
    ...(tab !== undefined && { tab }),
    ...(version !== undefined && { version }),
    ...(since !== undefined && { since }),
  };
}
