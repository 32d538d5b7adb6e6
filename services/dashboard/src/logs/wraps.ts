import { useState } from "react";

const STORED = "towpath.log-wraps";

/** Whether long log lines wrap in this browser. @default true */
export function useWraps(): readonly [boolean, (wraps: boolean) => void] {
  const [wraps, setWraps] = useState(() => localStorage.getItem(STORED) !== "no");
  const keep = (next: boolean) => {
    localStorage.setItem(STORED, next ? "yes" : "no");
    setWraps(next);
  };
  return [wraps, keep];
}
