import { useEffect, useState } from "react";
import { Button } from "./button.tsx";
import { useNow } from "./clock.ts";
import { useConnection } from "./live/live.ts";

/** A shorter loss of the stream is not shown, seconds. */
const UNNOTICED_SECONDS = 2;

/** Shows for how long the control plane has not been reached. */
export function StaleBadge() {
  const { state, sinceMs } = useConnection();
  const now = useNow(state === "lost");
  const seconds = Math.max(0, Math.round((now - sinceMs) / 1000));
  if (state !== "lost" || seconds < UNNOTICED_SECONDS) return null;
  return <StaleFor seconds={seconds} />;
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

/** Whether the control plane serves a newer build than this page. Checked each time the stream reconnects. */
function useNewer(): boolean {
  const { state } = useConnection();
  const [newer, setNewer] = useState(false);
  useEffect(() => {
    const notice = () => setNewer(true);
    // A chunk of this build is missing.
    window.addEventListener("vite:preloadError", notice);
    return () => window.removeEventListener("vite:preloadError", notice);
  }, []);
  useEffect(() => {
    if (state === "live") void isNewer().then((found) => found && setNewer(true));
  }, [state]);
  return newer;
}

/** Says that this page is older than the control plane, and offers to reload. */
export function NewerBadge() {
  if (!useNewer()) return null;
  return (
    <div
      role="status"
      className="mb-3 flex w-fit flex-wrap items-center gap-2 rounded-md border border-accent bg-accent-soft px-2 py-1 text-12"
    >
      <span className="font-medium">Towpath has been updated. This page is from the previous release.</span>
      <Button onClick={() => window.location.reload()}>Reload</Button>
    </div>
  );
}

/** The path of this page's script. It contains a hash of the content. */
function ownScript(): string | null {
  return document.querySelector("script[type=module][src]")?.getAttribute("src") ?? null;
}

/** Whether the server has another build than this page. False if the server cannot be reached. */
async function isNewer(): Promise<boolean> {
  const own = ownScript();
  if (own === null) return false;
  try {
    const response = await fetch("/", { headers: { accept: "text/html" }, cache: "no-store" });
    return response.ok && !(await response.text()).includes(own);
  } catch {
    return false;
  }
}
