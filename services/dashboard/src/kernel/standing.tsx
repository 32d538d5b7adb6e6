import { ConnectionFailure } from "@towpath/client";
import { Problem } from "@towpath/contract";
import type { ReactNode } from "react";
import { needsSignIn } from "../identity/needs-sign-in.ts";
import { SignIn } from "../identity/sign-in.tsx";

/** Grey bars where rows will be. */
export function Skeleton({ rows = 6 }: { rows?: number }) {
  return (
    <div role="status" aria-label="Loading" className="space-y-3 p-3">
      {Array.from({ length: rows }, (_, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: bars have no identity.
        <div key={index} className="skeleton h-4" style={{ width: `${92 - ((index * 17) % 40)}%` }} />
      ))}
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
    return { title: "The control plane cannot be reached", text: "This page tries again by itself." };
  if (failure instanceof Problem && failure.code === "forbidden")
    return {
      title: "Your key does not permit this",
      text: `${failure.detail} Ask an administrator of the workspace for a key of another role.`,
    };
  if (failure instanceof Problem) return { title: titleOf(failure), text: failure.detail };
  return {
    title: "This could not be shown",
    text: failure instanceof Error ? failure.message : String(failure),
  };
}

function titleOf(failure: Problem): string {
  return failure.message.split(":")[0] ?? failure.message;
}

/** What stands where something could not be read: a way to sign in, or why not, and what happens next. */
export function Failure({ failure }: { failure: unknown }) {
  if (needsSignIn(failure)) return <SignIn />;
  const { title, text } = explain(failure);
  return (
    <div role="alert" className="flex flex-col items-center gap-1 px-4 py-12 text-center">
      <span aria-hidden className="mb-1 text-16 text-bad">
        ✗
      </span>
      <p className="font-medium">{title}</p>
      <p className="max-w-md text-balance text-soft [overflow-wrap:anywhere]">{text}</p>
    </div>
  );
}

/** What a query knows. */
interface Known<Data> {
  readonly data: Data | undefined;
  readonly error: unknown;
}

/** Shows what a query has found; until then that it is on its way, or why not. A later failure keeps what was found. */
export function Shown<Data>({
  query,
  rows,
  children,
}: {
  query: Known<Data>;
  rows?: number;
  children: (data: Data) => ReactNode;
}) {
  if (query.data !== undefined) return children(query.data);
  if (query.error) return <Failure failure={query.error} />;
  return <Skeleton {...(rows === undefined ? {} : { rows })} />;
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
