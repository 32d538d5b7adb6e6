import { ATTEMPT_PHASES, FOUND_FACTS, PHASE_MOVES, PHASES, RESTARTS } from "@towpath/worker";
import { diagram } from "./contract.ts";
import { type Page, table } from "./page.ts";

const NOTE =
  "<!-- Written by `npm run reference` from worker/src/attempts/phases.ts. Edit that file, not this page. -->";

const code = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(", ");

/** The explanation of what a worker does with an attempt. */
export function attemptPage(): Page {
  const moves = Object.entries(PHASE_MOVES);
  const drawn = Object.fromEntries(moves.map(([name, { from, to }]) => [name, { from, to: [to] }]));
  const phases = Object.entries(ATTEMPT_PHASES).map(([name, { means, takesSlot, folder, journal }]) => [
    `\`${name}\``,
    means,
    takesSlot ? "yes" : "no",
    code(folder) || "nothing",
    code(journal) || "nothing yet",
  ]);
  const text = [
    NOTE,
    "# An attempt on a worker",
    "A worker takes each attempt through these phases. They are the worker's own: [the control plane's states](../reference/states.md) are kept in its database. A test kills a worker in each phase and starts it again.",
    diagram(PHASES, drawn),
    "## Phases",
    "The folder is `attempts/ATTEMPT.EPOCH` in the state directory, and its `attempt.json` names the phase. The journal is `journals/ATTEMPT.EPOCH`. The table says what is there when the phase begins. An attempt that ends before its launch has fewer files, and its last record can be `released`.",
    table(["phase", "what the worker does", "takes a slot", "in the folder", "in the journal"], phases),
    "## Moves",
    table(
      ["move", "from", "to", "when", "what the worker does"],
      moves.map(([name, { from, to, event, effect }]) => [
        `\`${name}\``,
        code(from),
        code([to]),
        event,
        effect,
      ]),
    ),
    "## After a restart",
    "A worker that starts reads the phase of each attempt from its folder. The first row counts whose fact holds.",
    table(
      ["phase in the file", "fact", "goes on as", "why"],
      RESTARTS.map(({ found, fact, phase, why }) => [
        `\`${found}\``,
        fact ?? "none of these",
        phase === null ? "is let go" : `\`${phase}\``,
        why,
      ]),
    ),
    table(["fact", "meaning"], Object.entries(FOUND_FACTS)),
    "A new attempt in `preparing` has no folder. The control plane delivers its assignment again.",
  ];
  return { path: "docs/explanation/attempts-on-a-worker.md", text: `${text.join("\n\n")}\n` };
}
