import type { ReactNode } from "react";
import { type Mark, useTab } from "./tab.ts";

/** A part of a screen with a heading, and its actions at the right. */
export function Panel({
  title,
  note,
  actions,
  flush = false,
  children,
}: {
  title: ReactNode;
  note?: ReactNode;
  actions?: ReactNode;
  flush?: boolean;
  children: ReactNode;
}) {
  return (
    <section className="min-w-0 rounded-lg border border-line bg-surface">
      <header className="flex min-h-10 flex-wrap items-center gap-x-3 gap-y-1 border-b border-line px-3 py-1.5">
        <h2>{title}</h2>
        {note !== undefined && (
          <span className="min-w-0 text-12 text-faint max-sm:order-last max-sm:basis-full">{note}</span>
        )}
        {actions !== undefined && <div className="ml-auto flex min-w-0 items-center gap-1.5">{actions}</div>}
      </header>
      <div className={flush ? "" : "p-3"}>{children}</div>
    </section>
  );
}

/** The head of a screen: its title and actions. It also names the browser tab. */
export function PageHead({
  title,
  tab = title,
  mark,
  note,
  children,
}: {
  title: string;
  /** The name of the tab. @default the title */
  tab?: string;
  mark?: Mark | undefined;
  note?: ReactNode;
  children?: ReactNode;
}) {
  useTab(tab, mark);
  return (
    <header className="mb-4 flex flex-wrap items-center gap-x-3 gap-y-2">
      <h1 className="min-w-0 [overflow-wrap:anywhere]">{title}</h1>
      {note !== undefined && <span className="text-soft">{note}</span>}
      {children !== undefined && (
        <div className="ml-auto flex flex-wrap items-center gap-1.5">{children}</div>
      )}
    </header>
  );
}

/** Facts with a small name above each value. */
export function Facts({ facts }: { facts: readonly (readonly [string, ReactNode])[] }) {
  return (
    <dl className="flex flex-wrap gap-x-6 gap-y-2">
      {facts.map(([name, value]) => (
        <div key={name} className="min-w-0">
          <dt className="text-11 text-faint">{name}</dt>
          <dd className="min-w-0 text-13 tabular-nums [overflow-wrap:anywhere]">{value}</dd>
        </div>
      ))}
    </dl>
  );
}
