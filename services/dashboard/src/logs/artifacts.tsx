import type { Artifact, ArtifactBody } from "@towpath/contract";
import { lazy, Suspense } from "react";
import { printable } from "./printable.ts";

/** Half of the page's code, and most runs show no markdown. */
const MarkdownText = lazy(() => import("./markdown-text.tsx"));

function cell(value: unknown): string {
  if (typeof value === "number") return value.toLocaleString(undefined, { maximumSignificantDigits: 6 });
  return typeof value === "string" ? printable(value) : JSON.stringify(value);
}

function isNumeric(body: Extract<ArtifactBody, { kind: "table" }>, column: number): boolean {
  return typeof body.rows[0]?.[column] === "number";
}

function TableBody({ body }: { body: Extract<ArtifactBody, { kind: "table" }> }) {
  return (
    <table>
      <thead>
        <tr>
          {body.columns.map((column, index) => (
            <th key={column} className={isNumeric(body, index) ? "number" : undefined}>
              {column}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {body.rows.map((row, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: rows have no identity of their own.
          <tr key={index}>
            {row.map((value, column) => (
              <td key={body.columns[column]} className={typeof value === "number" ? "number" : undefined}>
                {cell(value)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function ProgressBody({ body }: { body: Extract<ArtifactBody, { kind: "progress" }> }) {
  const total = body.total === null ? "" : ` of ${body.total.toLocaleString()}`;
  return (
    <div className="progress">
      <progress value={body.done} {...(body.total === null ? {} : { max: body.total })} />
      <span className="number">
        {body.done.toLocaleString()}
        {total} {body.unit}
      </span>
    </div>
  );
}

function Body({ artifact }: { artifact: Artifact }) {
  const { body } = artifact;
  switch (body.kind) {
    case "table":
      return <TableBody body={body} />;
    case "progress":
      return <ProgressBody body={body} />;
    case "markdown":
      return (
        <Suspense fallback={<pre>{body.text}</pre>}>
          <MarkdownText text={body.text} />
        </Suspense>
      );
    case "image":
      return (
        <img alt={artifact.title || artifact.key} src={`data:${body.mediaType};base64,${body.base64}`} />
      );
    case "link":
      return (
        <a href={body.url} rel="noreferrer noopener" target="_blank">
          {body.text || body.url}
        </a>
      );
  }
}

function Progress({ artifacts }: { artifacts: readonly Artifact[] }) {
  if (artifacts.length === 0) return null;
  return (
    <section>
      <h2>Progress</h2>
      <div className="artifact bars">
        {artifacts.map((artifact) => (
          <div key={artifact.key}>
            <span className="bar-name">{artifact.title || artifact.key}</span>
            <Body artifact={artifact} />
          </div>
        ))}
      </div>
    </section>
  );
}

/** What a run has to show: how far it is, then everything else under its keys, in the order it came. */
export function Artifacts({ artifacts }: { artifacts: readonly Artifact[] }) {
  const ordered = artifacts.toSorted((a, b) => a.updatedAt.localeCompare(b.updatedAt));
  const shown = ordered.filter((artifact) => artifact.body.kind !== "progress");
  return (
    <>
      <Progress artifacts={ordered.filter((artifact) => artifact.body.kind === "progress")} />
      {shown.length > 0 && (
        <section>
          <h2>Artifacts</h2>
          <div className="gallery">
            {shown.map((artifact) => (
              <figure key={artifact.key} className="artifact">
                <figcaption>{artifact.title || artifact.key}</figcaption>
                <Body artifact={artifact} />
              </figure>
            ))}
          </div>
        </section>
      )}
    </>
  );
}
