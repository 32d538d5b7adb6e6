import { QueryClient } from "@tanstack/react-query";
import { Problem } from "@towpath/contract";

/** How often a list reads itself anew while it is looked at, milliseconds. A single run's page is live. */
export const REFRESH_MS = 4_000;

/** The client repeats calls itself: what reaches a query is final for now. The next refresh tries again. */
export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      retry: false,
      staleTime: 1_000,
      networkMode: "always",
      refetchInterval: (query) => (isForGood(query.state.error) ? false : REFRESH_MS),
    },
    mutations: { retry: false, networkMode: "always" },
  },
});

/** Whether asking again, as the same reader, is answered the same. */
function isForGood(failure: unknown): boolean {
  return failure instanceof Problem && !failure.retryable;
}
