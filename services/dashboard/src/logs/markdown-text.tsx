import type { ComponentProps } from "react";
import Markdown from "react-markdown";
import remarkGfm from "remark-gfm";

/** An external link, without a referrer. */
function LinkOut({ href, children }: ComponentProps<"a">) {
  // The sanitizer has removed what is not a web address.
  if (!href) return <>{children}</>;
  return (
    <a href={href} rel="noreferrer noopener" target="_blank">
      {children}
    </a>
  );
}

/** Markdown of a flow, without HTML. Images are left out: the reader's browser would call other hosts. */
export default function MarkdownText({ text }: { text: string }) {
  return (
    <div className="markdown">
      <Markdown remarkPlugins={[remarkGfm]} disallowedElements={["img"]} components={{ a: LinkOut }}>
        {text}
      </Markdown>
    </div>
  );
}
