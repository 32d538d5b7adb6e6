import { useQuery } from "@tanstack/react-query";
import { client } from "../kernel/client.ts";

/** Deployments that are asked for at once. */
const LISTED = 200;

/**
 * The workspace's deployments by name.
 * @param a.enabled whether they are asked for yet; what a screen is about comes first. @default true
 */
export function useDeployments({ enabled = true } = {}) {
  return useQuery({
    enabled,
    queryKey: ["deployments"],
    queryFn: ({ signal }) => client.listDeployments({ query: { limit: LISTED } }, { signal }),
  });
}
