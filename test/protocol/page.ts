import type { Vector, VectorRequest } from "./vector.ts";

const BEGIN =
  "<!-- vectors: written by `npm run reference` from test/protocol/vectors. Edit those, not this part. -->";
const END = "<!-- /vectors -->";

/** The page of the run protocol. */
export const PAGE = new URL("../../docs/reference/run-protocol.md", import.meta.url);

/** The page with exactly these vectors in it. @throws Error if the page has no markers for them. */
export function withVectors(page: string, vectors: readonly Vector[]): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`The page needs a place: ${BEGIN} … ${END}`);
  const sections = vectors.map(section).join("\n\n");
  return `${page.slice(0, begin)}${BEGIN}\n\n${sections}\n\n${page.slice(end)}`;
}

function section({ file, title, exchanges }: Vector): string {
  const steps = exchanges.map((step) => {
    if ("cancel" in step) return `The run is cancelled, with the reason \`${step.cancel}\`.`;
    const { status, body } = step.answer;
    return `${fenced("http", requestText(step.request))}\n\n${fenced("json", `${status} ${JSON.stringify(body)}`)}`;
  });
  return [
    `### ${title}`,
    `[\`${file}\`](../../test/protocol/vectors/${file})`,
    ...steps.flatMap((step, index) => (index === 0 ? [step] : ["Then:", step])),
  ].join("\n\n");
}

function fenced(language: string, text: string): string {
  return `\`\`\`${language}\n${text}\n\`\`\``;
}

function requestText({ head, body }: VectorRequest): string {
  const text = head.join("\n");
  if (body === undefined || body === "") return text;
  const shown =
    typeof body === "string"
      ? body.trimEnd()
      : `${body.before}${visible(body.repeat)} (${body.times} times)${body.after.trimEnd()}`;
  return `${text}\n\n${shown}`;
}

function visible(text: string): string {
  return text.replaceAll("\n", "↵");
}
