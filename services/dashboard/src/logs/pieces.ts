import { printable } from "@towpath/contract";

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours of terminals are what it must find.
const COLOURS = /\u001b\[([0-9;]*)m/g;
/** A part of a line in one colour. */
export interface Piece {
  readonly text: string;
  /** Classes of our palette. Other effects of terminals are ignored. */
  readonly look: string;
}

/** The eight terminal colours in our palette, readable in both themes. */
const LOOKS: Readonly<Record<number, string>> = {
  30: "text-faint",
  31: "text-bad",
  32: "text-good",
  33: "text-warn",
  34: "text-accent",
  35: "text-rest",
  36: "text-accent",
  37: "",
};
const BRIGHT = 60;

interface Pen {
  readonly colour: string;
  readonly bold: boolean;
  readonly dim: boolean;
}
const PLAIN: Pen = { colour: "", bold: false, dim: false };

function apply(pen: Pen, code: number): Pen {
  if (code === 0) return PLAIN;
  if (code === 1) return { ...pen, bold: true };
  if (code === 2) return { ...pen, dim: true };
  if (code === 22) return { ...pen, bold: false, dim: false };
  if (code === 39) return { ...pen, colour: "" };
  const colour = LOOKS[code] ?? LOOKS[code - BRIGHT];
  return colour === undefined ? pen : { ...pen, colour };
}

/** Extended colours (`38;5;n`) have arguments that are not codes. */
function applyAll(pen: Pen, codes: string): Pen {
  if (/(^|;)[34]8;/.test(codes)) return pen;
  return codes.split(";").reduce((now, code) => apply(now, Number(code || 0)), pen);
}

function lookOf(pen: Pen): string {
  return [pen.colour, pen.bold ? "font-semibold" : "", pen.dim ? "opacity-70" : ""].filter(Boolean).join(" ");
}

/** A line in parts of one colour each. Their joined text is that of `printable`. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let pen = PLAIN;
  let from = 0;
  const add = (part: string) => {
    const shown = printable(part);
    if (shown !== "") found.push({ text: shown, look: lookOf(pen) });
  };
  for (const match of text.matchAll(COLOURS)) {
    add(text.slice(from, match.index));
    pen = applyAll(pen, match[1] ?? "");
    from = match.index + match[0].length;
  }
  add(text.slice(from));
  return found;
}

/** Cuts the parts at the start and end of each match. Matches ignore case and can cross colours. */
export function withFinds(line: readonly Piece[], text: string): (Piece & { isFind: boolean })[] {
  const whole = line.map((piece) => piece.text).join("");
  const edges = findEdges(whole, text);
  let at = 0;
  return line.flatMap((piece) => {
    const [from, to] = [at, at + piece.text.length];
    at = to;
    const cuts = [from, ...edges.filter((edge) => edge > from && edge < to), to];
    return cuts.slice(1).map((end, index) => {
      const begin = cuts[index] ?? from;
      // Matches start at even indexes of the edges.
      const isFind = edges.filter((edge) => edge <= begin).length % 2 === 1;
      return { look: piece.look, text: whole.slice(begin, end), isFind };
    });
  });
}

/** The start and end of each match, in turn. Lines whose lower-case form has another length are left unmarked. */
function findEdges(whole: string, text: string): number[] {
  const [lower, wanted] = [whole.toLowerCase(), text.toLowerCase()];
  if (wanted === "" || lower.length !== whole.length) return [];
  const edges: number[] = [];
  for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, at + wanted.length))
    edges.push(at, at + wanted.length);
  return edges.filter((edge, index) => edge !== edges[index - 1] && edge !== edges[index + 1]);
}
