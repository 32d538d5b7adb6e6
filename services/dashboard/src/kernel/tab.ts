import { isFinalRunState, type RunState } from "@towpath/contract";
import { useEffect } from "react";

/** What a tab can show beside its name. */
export type Mark = "failed" | "completed" | "running" | "waiting";

const PLAIN = "/favicon.svg";

/** The mark of a run in some state. */
export function markOf(state: RunState): Mark | undefined {
  if (state === "failed" || state === "crashed") return "failed";
  if (state === "completed") return "completed";
  if (isFinalRunState(state)) return undefined;
  return state === "running" || state === "claimed" || state === "cancelling" ? "running" : "waiting";
}

function show(title: string, icon: string): void {
  document.title = title;
  const link = document.querySelector<HTMLLinkElement>("link[rel=icon]");
  if (link && link.getAttribute("href") !== icon) link.setAttribute("href", icon);
}

/** Names the browser's tab while a screen stands, and marks it, so that one among many tabs tells how its run goes. */
export function useTab(name: string | undefined, mark?: Mark): void {
  useEffect(() => {
    show(name === undefined ? "Towpath" : `${name} · Towpath`, mark ? `/tab/${mark}.svg` : PLAIN);
    return () => show("Towpath", PLAIN);
  }, [name, mark]);
}
