/** A page that is generated from code, whole or in part: its path in the repository and its Markdown. */
export interface Page {
  readonly path: string;
  readonly text: string;
}

/** A Markdown table. */
export function table(columns: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(columns), line(columns.map(() => "---")), ...rows.map(line)].join("\n");
}
