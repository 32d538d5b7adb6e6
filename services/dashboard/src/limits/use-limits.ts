import { useQuery } from "@tanstack/react-query";
import { client } from "../kernel/client.ts";

/** The limits of the workspace, with the runs that hold slots. */
export function useLimits() {
  return useQuery({
    queryKey: ["limits"],
    queryFn: ({ signal }) => client.listLimits({ query: { limit: 100 } }, { signal }),
  });
}
