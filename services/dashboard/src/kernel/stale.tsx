import { useQueryClient } from "@tanstack/react-query";
import { ConnectionFailure } from "@towpath/client";
import { useSyncExternalStore } from "react";
import { useNow } from "./clock.ts";

/** Since when what is shown could not be read anew, milliseconds since 1970; null while it can. */
function useStaleSince(): number | null {
  const cache = useQueryClient().getQueryCache();
  return useSyncExternalStore(
    (listener) => cache.subscribe(listener),
    () => {
      const failing = cache
        .findAll({ type: "active" })
        .filter((query) => query.state.error instanceof ConnectionFailure && query.state.dataUpdatedAt > 0);
      return failing.length === 0 ? null : Math.min(...failing.map((query) => query.state.dataUpdatedAt));
    },
  );
}

/** Says for how long the page has not heard from the control plane. */
export function StaleBadge() {
  const since = useStaleSince();
  const now = useNow(since !== null);
  if (since === null) return null;
  return <StaleFor seconds={Math.max(0, Math.round((now - since) / 1000))} />;
}

/** The badge itself. */
export function StaleFor({ seconds }: { seconds: number }) {
  return (
    <p
      role="status"
      className="mb-3 w-fit rounded-md border border-warn bg-warn-soft px-2 py-0.5 text-12 font-medium text-warn tabular-nums"
    >
      Stale for {seconds} s: the control plane cannot be reached. Trying again.
    </p>
  );
}
