const LOOKS = { accent: "bg-accent", warn: "bg-warn", bad: "bg-bad" } as const;

/**
 * A quantity as a bar. With a label, screen readers read it. Without one, it only illustrates the text beside it.
 * Browsers draw `meter` and `progress` differently, and half as high as requested.
 */
export function Bar({
  value,
  max,
  label,
  role = "meter",
  look = "accent",
  className,
}: {
  value: number;
  max: number;
  label?: string;
  role?: "meter" | "progressbar";
  look?: keyof typeof LOOKS;
  /** Classes for its size. */
  className: string;
}) {
  const share = max > 0 ? Math.min(1, Math.max(0, value / max)) : 0;
  const told = label
    ? { role, "aria-label": label, "aria-valuemin": 0, "aria-valuemax": max, "aria-valuenow": value }
    : { "aria-hidden": true };
  return (
    <span {...told} className={`block shrink-0 overflow-hidden rounded-full bg-line ${className}`}>
      <span className={`block h-full rounded-full ${LOOKS[look]}`} style={{ width: `${share * 100}%` }} />
    </span>
  );
}
