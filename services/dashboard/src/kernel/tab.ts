import { isFinalRunState, type RunState } from "@towpath/contract";
import { useEffect } from "react";

/** The mark in a tab's icon. */
export type Mark = "failed" | "completed" | "running" | "waiting";

const PLAIN = "/favicon.svg";

/** The mark for a run's state. */
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

/** Sets the name and the icon of the browser tab while a screen is open. */
export function useTab(name: string | undefined, mark?: Mark): void {
  useEffect(() => {
    show(name === undefined ? "Towpath" : `${name} · Towpath`, mark ? `/tab/${mark}.svg` : PLAIN);
    return () => show("Towpath", PLAIN);
  }, [name, mark]);
}
