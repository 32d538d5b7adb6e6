import { useEffect, useState } from "react";
import { nowMs } from "./live/clock.ts";

// What runs in a worker of the browser needs the time without what draws pages.
export { nowMs };

/** Renders again each second while `ticking`, so that durations grow. */
export function useNow(ticking: boolean): number {
  const [now, setNow] = useState(nowMs);
  useEffect(() => {
    if (!ticking) return;
    const timer = setInterval(() => setNow(nowMs()), 1000);
    return () => clearInterval(timer);
  }, [ticking]);
  return now;
}
