import { ChevronDown } from "lucide-react";
import { type ReactNode, useEffect, useRef } from "react";

/** A field that opens a list of choices. Escape, or a click outside, closes it. */
export function Dropdown({
  label,
  summary,
  align = "left",
  children,
}: {
  label: string;
  summary: ReactNode;
  /** The side on which the list is aligned with the field. */
  align?: "left" | "right";
  children: ReactNode;
}) {
  const box = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (event: Event) => {
      const isElsewhere = event.target instanceof Node && !box.current?.contains(event.target);
      const isEscape = event instanceof KeyboardEvent && event.key === "Escape";
      if (box.current?.open && (isEscape || (event.type === "pointerdown" && isElsewhere)))
        box.current.open = false;
    };
    document.addEventListener("pointerdown", close);
    document.addEventListener("keydown", close);
    return () => {
      document.removeEventListener("pointerdown", close);
      document.removeEventListener("keydown", close);
    };
  }, []);
  return (
    <details ref={box} className="relative">
      <summary className="field flex list-none items-center gap-1.5">
        <span className="sr-only">{label}:</span>
        {summary} <ChevronDown size={12} />
      </summary>
      <div
        className={`absolute z-30 mt-1 rounded-lg border border-edge bg-surface p-1.5 whitespace-nowrap ${align === "left" ? "left-0" : "right-0"}`}
      >
        {children}
      </div>
    </details>
  );
}
