import { type Trouble, troubleText } from "@towpath/contract";
import { type Output, printable } from "../output.ts";

/** Tells under a list what could not be done about one of its rows. */
export function tellTrouble(output: Output, name: string, trouble: Trouble): void {
  output.line(output.style.yellow(`! ${printable(name)}: ${printable(troubleText(trouble))}`));
}
