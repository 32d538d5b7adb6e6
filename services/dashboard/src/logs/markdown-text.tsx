import Markdown from "react-markdown";
import remarkGfm from "remark-gfm";

/** Markdown from a flow, without HTML; without images, which would make the reader's browser call other hosts. */
export default function MarkdownText({ text }: { text: string }) {
  return (
    <div className="markdown">
      <Markdown remarkPlugins={[remarkGfm]} disallowedElements={["img"]}>
        {text}
      </Markdown>
    </div>
  );
}
