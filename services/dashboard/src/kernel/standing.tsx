import { ConnectionFailure } from "@towpath/client";
import { Problem } from "@towpath/contract";
import type { ReactNode } from "react";
import { needsSignIn } from "../identity/needs-sign-in.ts";
import { SignIn } from "../identity/sign-in.tsx";
import { Button } from "./button.tsx";

/**
 * What will stand where something is on its way: rows of a panel, a list in its frame, one with names above its columns, panels
 * below one another, or figures above two columns of panels.
 */
export type Look = "rows" | "list" | "table" | "panels" | "glance";

const FRAME = "overflow-hidden rounded-lg border border-line bg-surface";
const PANELS = 3;

/** How high the rows of a list are at least: those of a table, and those with room around their text. */
export const ROW_HEIGHTS = { low: "min-h-9", high: "min-h-11" } as const;
type RowHeight = keyof typeof ROW_HEIGHTS;

/** Grey bars as high as the rows that will take their place, so that nothing jumps when they come. */
function Bars({ rows, height = "low" }: { rows: number; height?: RowHeight }) {
  return Array.from({ length: rows }, (_, index) => (
    <div
      // biome-ignore lint/suspicious/noArrayIndexKey: bars have no identity.
      key={index}
      className={`flex ${ROW_HEIGHTS[height]} items-center justify-between gap-8 border-line px-3 not-last:border-b`}
    >
      <span className="skeleton h-3" style={{ width: `${38 - ((index * 7) % 18)}%` }} />
      <span className="skeleton h-3 w-16" />
    </div>
  ));
}

/** Panels below one another, as they will be. */
function PanelBars({ rows }: { rows: number }) {
  return Array.from({ length: PANELS }, (_, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: panels have no identity.
    <div key={index} className={FRAME}>
      <div className="flex h-10 items-center border-b border-line px-3">
        <span className="skeleton h-3 w-28" />
      </div>
      <Bars rows={Math.ceil(rows / PANELS)} />
    </div>
  ));
}

/** Figures in a strip, and two columns of panels below it; on a phone one. */
function GlanceBars({ rows }: { rows: number }) {
  return (
    <>
      <div className="grid grid-cols-2 gap-px overflow-hidden rounded-lg border border-line bg-line sm:grid-cols-4">
        {["failed", "running", "waiting", "completed"].map((figure) => (
          <div key={figure} className="flex h-19 flex-col justify-center gap-3 bg-surface px-4">
            <span className="skeleton h-3 w-20" />
            <span className="skeleton h-5 w-12" />
          </div>
        ))}
      </div>
      <div className="grid items-start gap-4 lg:grid-cols-2">
        {["left", "right"].map((side) => (
          <div key={side} className="flex flex-col gap-4">
            <PanelBars rows={rows} />
          </div>
        ))}
      </div>
    </>
  );
}

/** Says that something is on its way, in the shape that it will have. */
export function Skeleton({
  rows = 6,
  look = "rows",
  height = "low",
}: {
  rows?: number;
  look?: Look;
  height?: RowHeight;
}) {
  return (
    <div role="status" aria-label="Loading" className="flex flex-col gap-4">
      {look === "rows" && (
        <div>
          <Bars rows={rows} />
        </div>
      )}
      {(look === "list" || look === "table") && (
        <div className={FRAME}>
          {look === "table" && <div className="h-8 border-b border-line" />}
          <Bars rows={rows} height={height} />
        </div>
      )}
      {look === "panels" && <PanelBars rows={rows} />}
      {look === "glance" && <GlanceBars rows={rows} />}
    </div>
  );
}

/** What stands where there is nothing: what would be here, and the next step. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="flex flex-col items-center gap-1 px-4 py-12 text-center">
      <p className="font-medium">{title}</p>
      {children !== undefined && <div className="max-w-md text-balance text-soft">{children}</div>}
    </div>
  );
}

function explain(failure: unknown): { title: string; text: string } {
  if (failure instanceof ConnectionFailure)
    return { title: "The control plane cannot be reached", text: "This page tries again automatically." };
  if (failure instanceof Problem && failure.code === "forbidden")
    return {
      title: "Your key has no permission for this",
      text: `${failure.detail} Ask an admin of the workspace for a key with another role.`,
    };
  if (failure instanceof Problem) return { title: titleOf(failure), text: failure.detail };
  return {
    title: "This page could not be shown",
    text: failure instanceof Error ? failure.message : String(failure),
  };
}

function titleOf(failure: Problem): string {
  return failure.message.split(":")[0] ?? failure.message;
}

/** Reads once more what could not be read. */
type Retry = Pick<Known<unknown>, "refetch">;

function TryAgain({ retry, look }: { retry: Retry; look?: "quiet" }) {
  return (
    <Button {...(look && { look })} onClick={() => void retry.refetch()}>
      Try again
    </Button>
  );
}

/** What stands where something could not be read: a way to sign in, or why not, and a way to read it once more. */
export function Failure({ failure, retry }: { failure: unknown; retry: Retry }) {
  if (needsSignIn(failure)) return <SignIn />;
  const { title, text } = explain(failure);
  return (
    <div role="alert" className="flex flex-col items-center gap-1 px-4 py-12 text-center">
      <span aria-hidden className="mb-1 text-16 text-bad">
        ✗
      </span>
      <p className="font-medium">{title}</p>
      <p className="max-w-md text-balance text-soft [overflow-wrap:anywhere]">{text}</p>
      <p className="mt-2">
        <TryAgain retry={retry} />
      </p>
    </div>
  );
}

/** What a query knows. */
export interface Known<Data> {
  readonly data: Data | undefined;
  readonly error: unknown;
  /** Reads it once more. */
  readonly refetch: () => unknown;
}

/** Shows what a query has found; until then that it is on its way, or why not. A later failure keeps what was found. */
export function Shown<Data>({
  query,
  rows,
  look,
  height,
  children,
}: {
  query: Known<Data>;
  rows?: number;
  look?: Look;
  /** Of the rows of a list or table. @default "low" */
  height?: RowHeight;
  children: (data: Data) => ReactNode;
}) {
  if (query.data !== undefined) return children(query.data);
  if (query.error) return <Failure failure={query.error} retry={query} />;
  return (
    <Skeleton {...(rows !== undefined && { rows })} {...(look && { look })} {...(height && { height })} />
  );
}

/** One line under a form that was refused. */
export function Refusal({ failure }: { failure: unknown }) {
  if (!failure) return null;
  const { title, text } = explain(failure);
  return (
    <p role="alert" className="text-bad [overflow-wrap:anywhere]">
      {title}. {text}
    </p>
  );
}

/** One line where a part of a list or a picture could not be read, and a way to read it once more. */
export function Unread({ query }: { query: Known<unknown> }) {
  if (query.data !== undefined || !query.error) return null;
  return (
    <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
      <Refusal failure={query.error} />
      <TryAgain retry={query} look="quiet" />
    </div>
  );
}
