import { Buffer } from "node:buffer";
import type { ArtifactBody } from "@towpath/contract";
import { ArtifactRefused } from "../problem.ts";
import { artifactLimits, artifactScope, postArtifact } from "./post.ts";
import { progress } from "./progress.ts";
import { type TableArtifact, tableBody } from "./table.ts";

/** Markdown text. */
export interface MarkdownArtifact {
  readonly key: string;
  readonly title?: string;
  readonly text: string;
}

/** An image. The limit of a body counts its base64. */
export interface ImageArtifact {
  readonly key: string;
  readonly title?: string;
  readonly mediaType: Extract<ArtifactBody, { kind: "image" }>["mediaType"];
  readonly bytes: Uint8Array;
}

/** A link. */
export interface LinkArtifact {
  readonly key: string;
  readonly title?: string;
  /** http or https. */
  readonly url: string;
  /** @default the URL */
  readonly text?: string;
}

const LINK_CHARS_MAX = 500;

function titled(shown: { readonly title?: string }): { title: string } {
  return { title: shown.title ?? "" };
}

/** Checked here, because Node strips types without checking them. */
function checkIs(key: string, is: boolean, need: string): void {
  if (!is) throw new ArtifactRefused(key, need);
}

function checkLink(key: string, url: string): void {
  const { protocol } = URL.parse(url) ?? { protocol: "" };
  checkIs(key, /^https?:$/.test(protocol), "needs a url that begins with http:// or https://");
}

/**
 * Artifacts: content that a run's page shows beside its log. The latest body of a key is shown. Bodies up to 32 KiB leave the network.
 * A worker with workspace keys keeps larger ones in its store, up to 1,000,000 bytes. Beyond the limit each function throws
 * `ArtifactRefused`.
 */
export const artifact = {
  /** Shows Markdown. */
  markdown: async (shown: MarkdownArtifact): Promise<void> => {
    checkIs(shown.key, typeof shown.text === "string", "needs `text`, a string");
    return postArtifact({ key: shown.key, ...titled(shown), body: { kind: "markdown", text: shown.text } });
  },
  /** Shows a table of at most 64 columns and 500 rows, or 10,000 rows on a worker with workspace keys. */
  table: async (shown: TableArtifact): Promise<void> => {
    const body = tableBody(shown, artifactLimits(artifactScope()));
    return postArtifact({ key: shown.key, ...titled(shown), body });
  },
  /** Shows a progress bar. */
  progress,
  /** Shows an image. */
  image: async (shown: ImageArtifact): Promise<void> => {
    checkIs(shown.key, shown.bytes instanceof Uint8Array, "needs `bytes`, a Uint8Array");
    const base64 = Buffer.from(shown.bytes).toString("base64");
    const body = { kind: "image", mediaType: shown.mediaType, base64 } as const;
    return postArtifact({ key: shown.key, ...titled(shown), body });
  },
  /** Shows a link. */
  link: async (shown: LinkArtifact): Promise<void> => {
    checkLink(shown.key, shown.url);
    const text = (shown.text ?? shown.url).slice(0, LINK_CHARS_MAX);
    return postArtifact({ key: shown.key, ...titled(shown), body: { kind: "link", url: shown.url, text } });
  },
} as const;
