import { useQuery } from "@tanstack/react-query";
import { client } from "../kernel/client.ts";

/** Deployments that are asked for at once. */
const LISTED = 200;

/** The workspace's deployments by name. */
export function useDeployments() {
  return useQuery({
    queryKey: ["deployments"],
    queryFn: ({ signal }) => client.listDeployments({ query: { limit: LISTED } }, { signal }),
  });
}
