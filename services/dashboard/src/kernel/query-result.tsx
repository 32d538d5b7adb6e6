import { ConnectionFailure } from "@towpath/client";
import { PROBLEMS, Problem } from "@towpath/contract";
import type { ReactNode } from "react";
import { needsSignIn } from "../identity/me.ts";
import { SignIn } from "../identity/sign-in.tsx";
import { Button } from "./button.tsx";

/**
 * The shape of a loading screen: rows of a panel, a list with a frame, a list with column names, panels below one
 * another, or figures above two columns of panels.
 */
export type Look = "rows" | "list" | "table" | "panels" | "glance";

const FRAME = "overflow-hidden rounded-lg border border-line bg-surface";
const PANELS = 3;

/** The minimal height of a row, in a table and in a list with more space. */
export const ROW_HEIGHTS = { low: "min-h-9", high: "min-h-11" } as const;
type RowHeight = keyof typeof ROW_HEIGHTS;

/** Grey bars with the height of the rows that replace them, so that nothing jumps. */
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

/** Grey panels below one another. */
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

/** Grey figures above two columns of panels. On a phone, one column. */
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

/** Shows that content is loading, in its later shape. */
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

/** Shown instead of an empty list: what it would contain, and the next step. */
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
  if (failure instanceof Problem) return { title: PROBLEMS[failure.code].title, text: failure.detail };
  return {
    title: "This page could not be shown",
    text: failure instanceof Error ? failure.message : String(failure),
  };
}

/** Reads again what failed. */
type Retry = Pick<QueryState<unknown>, "refetch">;

function TryAgain({ retry, look }: { retry: Retry; look?: "quiet" }) {
  return (
    <Button {...(look && { look })} onClick={() => void retry.refetch()}>
      Try again
    </Button>
  );
}

/** Shown if something could not be read: the sign-in form, or the reason and a button that tries again. */
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

/** The state of a query. */
export interface QueryState<Data> {
  readonly data: Data | undefined;
  readonly error: unknown;
  /** Reads it again. */
  readonly refetch: () => unknown;
}

/** Shows the result of a query; before that, its loading state or its error. A later error keeps the earlier result. */
export function QueryResult<Data>({
  query,
  rows,
  look,
  height,
  children,
}: {
  query: QueryState<Data>;
  rows?: number;
  look?: Look;
  /** The row height of a list or table. @default "low" */
  height?: RowHeight;
  children: (data: Data) => ReactNode;
}) {
  if (query.data !== undefined) return children(query.data);
  if (query.error) return <Failure failure={query.error} retry={query} />;
  return (
    <Skeleton {...(rows !== undefined && { rows })} {...(look && { look })} {...(height && { height })} />
  );
}

/** The error of a rejected form, in one row. */
export function FormError({ failure }: { failure: unknown }) {
  if (!failure) return null;
  const { title, text } = explain(failure);
  return (
    <p role="alert" className="text-bad [overflow-wrap:anywhere]">
      {title}. {text}
    </p>
  );
}

/** The error of a part of a list or chart, with a button that tries again. */
export function PartError({ query }: { query: QueryState<unknown> }) {
  if (query.data !== undefined || !query.error) return null;
  return (
    <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
      <FormError failure={query.error} />
      <TryAgain retry={query} look="quiet" />
    </div>
  );
}
