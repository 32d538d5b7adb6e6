import { printable } from "@towpath/contract";

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours of terminals are what it must find.
const COLOURS = /\u001b\[([0-9;]*)m/g;
/** A piece of a line in one colour. */
export interface Piece {
  readonly text: string;
  /** Classes of our own palette; whatever else a terminal would have done is left out. */
  readonly look: string;
}

/** The eight colours of terminals in ours: both themes can be read. */
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

/** Colours of more than eight (`38;5;n`) carry arguments that are no codes of their own. */
function applyAll(pen: Pen, codes: string): Pen {
  if (/(^|;)[34]8;/.test(codes)) return pen;
  return codes.split(";").reduce((now, code) => apply(now, Number(code || 0)), pen);
}

function lookOf(pen: Pen): string {
  return [pen.colour, pen.bold ? "font-semibold" : "", pen.dim ? "opacity-70" : ""].filter(Boolean).join(" ");
}

/** A line in pieces of one colour each. What they say together is what `printable` says. */
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

/**
 * Cuts pieces where a text that is searched for begins and ends, without regard to case and across colours: what is of a
 * find says so.
 */
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
      // Finds begin at even places among the edges.
      const isFind = edges.filter((edge) => edge <= begin).length % 2 === 1;
      return { look: piece.look, text: whole.slice(begin, end), isFind };
    });
  });
}

/** Where each find begins and ends, in turn. Lines whose small letters are of another length are left unmarked. */
function findEdges(whole: string, text: string): number[] {
  const [lower, wanted] = [whole.toLowerCase(), text.toLowerCase()];
  if (wanted === "" || lower.length !== whole.length) return [];
  const edges: number[] = [];
  for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, at + wanted.length))
    edges.push(at, at + wanted.length);
  return edges.filter((edge, index) => edge !== edges[index - 1] && edge !== edges[index + 1]);
}
