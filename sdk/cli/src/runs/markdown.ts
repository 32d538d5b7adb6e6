import { printable, type Style } from "../output.ts";

/** A line of Markdown for a terminal. Headings and emphasis become styles. */
export function markdownLine(text: string, style: Style): string {
  const [, heading] = /^#{1,6}\s+(.*)$/.exec(text) ?? [];
  if (heading !== undefined) return style.bold(printable(withoutMarkers(heading)));
  return printable(text)
    .replace(/^(\s*)[-*+] /, "$1• ")
    .replaceAll(/`([^`]+)`/g, (_, code: string) => style.cyan(code))
    .replaceAll(/(\*\*|__)(?=\S)(.+?)(?<=\S)\1/g, (_, __, inner: string) => style.bold(inner))
    .replaceAll(/\[([^\]]+)\]\(([^)\s]+)\)/g, (_, label: string, url: string) => `${label} (${url})`);
}

function withoutMarkers(text: string): string {
  return text.replaceAll(/(\*\*|__|`)(.+?)\1/g, "$2");
}
