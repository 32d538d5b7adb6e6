import { type Trouble, troubleText } from "@towpath/contract";
import { type Output, printable } from "../output.ts";

/** Prints, below a list, the problem of one of its rows. */
export function tellTrouble(output: Output, name: string, trouble: Trouble): void {
  output.line(output.style.yellow(`! ${printable(name)}: ${printable(troubleText(trouble))}`));
}
