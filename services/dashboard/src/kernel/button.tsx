import type { ButtonHTMLAttributes } from "react";

const LOOKS = {
  plain: "border-edge bg-surface hover:bg-hover",
  accent: "border-accent bg-accent text-on-accent hover:opacity-90",
  danger: "border-edge bg-surface text-bad hover:border-bad hover:bg-bad-soft",
  quiet: "border-transparent text-soft hover:bg-hover hover:text-ink",
} as const;

/** A button. At most one button of a screen has the look `accent`: the main action. */
export function Button({
  look = "plain",
  className = "",
  ...rest
}: ButtonHTMLAttributes<HTMLButtonElement> & { look?: keyof typeof LOOKS }) {
  return (
    <button
      type="button"
      {...rest}
      className={`inline-flex h-7 shrink-0 items-center gap-1.5 rounded-md border px-2.5 text-13 font-medium whitespace-nowrap disabled:opacity-50 ${LOOKS[look]} ${className}`}
    />
  );
}
