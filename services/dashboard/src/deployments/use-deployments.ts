import { useQuery } from "@tanstack/react-query";
import { client } from "../kernel/client.ts";

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
