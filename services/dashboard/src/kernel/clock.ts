import { useEffect, useState } from "react";

/** The browser's time, in milliseconds since 1970. Shown, never used to decide. */
export function nowMs(): number {
  return Date.now();
}

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
