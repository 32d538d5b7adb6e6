import type { ReactNode } from "react";

/** A form field with its name. */
export function Labelled({
  name,
  hint,
  className = "",
  children,
}: {
  name: string;
  hint?: ReactNode;
  className?: string;
  children: ReactNode;
}) {
  return (
    // biome-ignore lint/a11y/noLabelWithoutControl: the field stands within.
    <label className={`flex min-w-0 flex-col gap-1 ${className}`}>
      <span className="text-12 font-medium">
        {name} {hint !== undefined && <span className="font-normal text-faint">{hint}</span>}
      </span>
      {children}
    </label>
  );
}
