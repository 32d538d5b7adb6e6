import { useQuery } from "@tanstack/react-query";
import type { Deployment } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import type { QueryState } from "../kernel/query-result.tsx";
import type { Latest } from "./latest-runs.ts";

/** Deployments that one request reads. */
const LISTED = 200;

/**
 * The deployments of the workspace, by name.
 * @param args.enabled false delays the request until the main content of a screen has been read.
 * @default true
 */
export function useDeployments({ enabled = true } = {}) {
  return useQuery({
    enabled,
    queryKey: ["deployments"],
    queryFn: ({ signal }) => client.listDeployments({ query: { limit: LISTED } }, { signal }),
  });
}

/** Runs that are read of each deployment. */
const EACH = 12;

/** The latest runs, by the name of the deployment. */
export type LatestByName = ReadonlyMap<string, Latest>;
const NONE: LatestByName = new Map();

/** The latest runs of each of these deployments. */
export function useLatestRuns(
  deployments: readonly Pick<Deployment, "name">[] | undefined,
): QueryState<LatestByName> {
  const names = deployments?.map((one) => one.name).join(",");
  const { data, error, refetch } = useQuery({
    enabled: names !== undefined && names !== "",
    queryKey: ["runs", "latest", names],
    queryFn: ({ signal }) =>
      client.listLatestRuns({ query: { deployments: names ?? "", each: EACH } }, { signal }),
    select: ({ items }) => new Map(items.map((one) => [one.deployment, one])),
  });
  return { data: names === "" ? NONE : data, error, refetch };
}

/** The usual duration of a deployment's runs when the page was opened, milliseconds. Null if unknown. */
export function useUsualMs(deployment: string): number | null {
  const { data } = useQuery({
    queryKey: ["usual", deployment],
    queryFn: ({ signal }) =>
      client.listLatestRuns({ query: { deployments: deployment, each: 1 } }, { signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });
  return data?.items[0]?.usualMs ?? null;
}
