import type { ReactNode } from "react";

/** Line drawings on a grid of 16, in the colour of the text around them. */
const DRAWINGS = {
  home: <path d="M2.5 7.5 8 3l5.5 4.5V13a.5.5 0 0 1-.5.5H9.5v-4h-3v4H3a.5.5 0 0 1-.5-.5z" />,
  runs: <path d="M2.5 4h7M2.5 8h11M2.5 12h5" />,
  waits: <path d="M2.5 3h11v8H8l-3 2.5V11H2.5zM6.7 5.8a1.3 1.3 0 1 1 2 1.1c-.5.3-.7.5-.7 1M8 9.3h.01" />,
  deployments: <path d="m8 2 5.5 3v6L8 14l-5.5-3V5zM2.5 5 8 8l5.5-3M8 8v6" />,
  pools: <path d="M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.01M5 11h.01" />,
  schedules: <path d="M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.5V8l2.5 1.5" />,
  limits: <path d="M2.5 11a5.5 5.5 0 0 1 11 0M8 11l2.5-3.5" />,
  keys: <path d="M6 10.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM9 7.5h4.5M11.5 7.5V10" />,
  notify: <path d="M4 11V7a4 4 0 0 1 8 0v4l1.5 1.5h-11zM6.8 14.3h2.4" />,
  states: (
    <path d="M4 6a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM12 14a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM4 6v3a3 3 0 0 0 3 3h3" />
  ),
  search: <path d="M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.3 10.3l3.2 3.2" />,
  sun: (
    <path d="M8 10.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM8 1.5v1.5M8 13v1.5M1.5 8H3M13 8h1.5M3.4 3.4l1 1M11.6 11.6l1 1M3.4 12.6l1-1M11.6 4.4l1-1" />
  ),
  moon: <path d="M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z" />,
  system: <path d="M2.5 3h11v7.5h-11zM6 13.5h4M8 10.5v3" />,
  again: <path d="M13 8a5 5 0 1 1-1.6-3.7M13.2 2.2v2.6h-2.6" />,
  close: <path d="m4 4 8 8M12 4l-8 8" />,
  copy: <path d="M5.5 5.5h8v8h-8zM3.5 10.5h-1v-8h8v1" />,
  more: <path d="M3 8h.01M8 8h.01M13 8h.01" />,
  down: <path d="m4 6 4 4 4-4" />,
  right: <path d="m6 4 4 4-4 4" />,
  download: <path d="M8 2.5v8M4.5 7 8 10.5 11.5 7M2.5 13.5h11" />,
} as const satisfies Record<string, ReactNode>;

/** The name of a drawing. */
export type IconName = keyof typeof DRAWINGS;

/** A small drawing beside a word. It says nothing that the word does not. */
export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg
      aria-hidden="true"
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.4"
      strokeLinecap="round"
      strokeLinejoin="round"
      className="shrink-0"
    >
      {DRAWINGS[name]}
    </svg>
  );
}
