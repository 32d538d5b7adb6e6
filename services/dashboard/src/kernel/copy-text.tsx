import { Copy } from "lucide-react";
import { useRef, useState } from "react";

/** A text to copy: a command or a key. */
export function CopyText({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  const line = useRef<HTMLElement>(null);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      // Without TLS, browsers block the clipboard. The selected text can be copied by hand.
      if (line.current !== null) window.getSelection()?.selectAllChildren(line.current);
    }
  };
  return (
    <div className="flex items-center gap-2 rounded-md border border-line bg-surface py-1 pr-1 pl-3">
      <code ref={line} className="min-w-0 flex-1 font-mono text-12 [overflow-wrap:anywhere]">
        {text}
      </code>
      <button
        type="button"
        onClick={() => void copy()}
        className="flex items-center gap-1 rounded px-2 py-1 text-12 text-soft hover:bg-hover hover:text-ink"
      >
        <Copy size={14} /> {copied ? "Copied" : "Copy"}
      </button>
    </div>
  );
}
