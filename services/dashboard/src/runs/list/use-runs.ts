import { infiniteQueryOptions, keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { client } from "../../kernel/client.ts";
import { nowMs } from "../../kernel/clock.ts";
import { type RunSearch, runQueryOf, without } from "./search.ts";

const PAGE_ROWS = 100;

/** The query for the runs of a search, page by page. */
export function runsQuery(search: RunSearch) {
  return infiniteQueryOptions({
    queryKey: ["runs", without(search, "chart")],
    queryFn: ({ pageParam, signal }) =>
      client.listRuns(
        {
          query: {
            ...runQueryOf(search, nowMs()),
            limit: PAGE_ROWS,
            ...(pageParam === null ? {} : { cursor: pageParam }),
          },
        },
        { signal },
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
  });
}

/** The runs of a search, page by page. */
export function useRuns(search: RunSearch) {
  return useInfiniteQuery({ ...runsQuery(search), placeholderData: keepPreviousData });
}
