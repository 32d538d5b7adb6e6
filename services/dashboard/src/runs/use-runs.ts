import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { client } from "../kernel/client.ts";
import { nowMs } from "../kernel/clock.ts";
import { REFRESH_MS } from "../kernel/query.ts";
import { type RunSearch, runQueryOf } from "./search.ts";

const PAGE_ROWS = 100;
/** A list that was read further than this many pages is not read anew by itself: it would ask for all of them. */
const REFRESHED_PAGES_MAX = 2;

/** Runs that a search finds, page by page. */
export function useRuns(search: RunSearch) {
  return useInfiniteQuery({
    queryKey: ["runs", search],
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
    placeholderData: keepPreviousData,
    refetchInterval: (query) =>
      (query.state.data?.pages.length ?? 0) > REFRESHED_PAGES_MAX ? false : REFRESH_MS,
  });
}
