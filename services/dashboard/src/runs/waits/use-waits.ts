import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import type { ListedWait } from "@towpath/contract";
import { client } from "../../kernel/client.ts";
import type { WaitView } from "../list/search.ts";

const PAGE_ROWS = 50;

const QUERIES = {
  questions: { kind: "input" },
  answered: { kind: "input", state: "satisfied,expired", order: "newest" },
  others: { kind: "job,event,run,until,for" },
} as const satisfies Record<WaitView, object>;

/** The waits of the workspace, page by page. */
export function useWaits(view: WaitView) {
  return useInfiniteQuery({
    queryKey: ["questions", view],
    queryFn: ({ pageParam, signal }) => {
      const cursor = pageParam === null ? {} : { cursor: pageParam };
      return client.listAllWaits({ query: { ...QUERIES[view], limit: PAGE_ROWS, ...cursor } }, { signal });
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
  });
}

/** The waits of all pages. */
export function waitsIn(data: { readonly pages: readonly { items: readonly ListedWait[] }[] }): ListedWait[] {
  return data.pages.flatMap((page) => page.items);
}
