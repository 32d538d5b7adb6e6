import { useState } from "react";

const STORED = "towpath.log-wraps";

/** Whether long lines of logs wrap, as this browser was last told. @default they do */
export function useWraps(): readonly [boolean, (wraps: boolean) => void] {
  const [wraps, setWraps] = useState(() => localStorage.getItem(STORED) !== "no");
  const keep = (next: boolean) => {
    localStorage.setItem(STORED, next ? "yes" : "no");
    setWraps(next);
  };
  return [wraps, keep];
}
