import type { ComponentProps } from "react";
import Markdown from "react-markdown";
import remarkGfm from "remark-gfm";

/** A link that leads out of here, and tells nobody where from. */
function LinkOut({ href, children }: ComponentProps<"a">) {
  // What is no address of the web has lost it by now.
  if (!href) return <>{children}</>;
  return (
    <a href={href} rel="noreferrer noopener" target="_blank">
      {children}
    </a>
  );
}

/** Markdown from a flow, without HTML; without images, which would make the reader's browser call other hosts. */
export default function MarkdownText({ text }: { text: string }) {
  return (
    <div className="markdown">
      <Markdown remarkPlugins={[remarkGfm]} disallowedElements={["img"]} components={{ a: LinkOut }}>
        {text}
      </Markdown>
    </div>
  );
}
