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
    "On its worker, each attempt passes through these phases. The control plane does not know them: it has [states of its own](../reference/states.md). A test kills a worker in each phase and starts it again.",
    diagram(PHASES, drawn),
    "## Phases",
    "The folder is `attempts/ATTEMPT.EPOCH` in the state directory, and its `attempt.json` names the phase. The journal is `journals/ATTEMPT.EPOCH`. The last two columns say which files and records exist when the phase begins. An attempt that ends before its launch has fewer files, and its last record can be `released`.",
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
    "A restarted worker reads the phase of each attempt from its folder. For each phase, the first row with a true fact applies.",
    table(
      ["phase in the file", "fact", "continues in", "why"],
      RESTARTS.map(({ found, fact, phase, why }) => [
        `\`${found}\``,
        fact ?? "otherwise",
        phase === null ? "the worker gives it up" : `\`${phase}\``,
        why,
      ]),
    ),
    table(["fact", "meaning"], Object.entries(FOUND_FACTS)),
    "A new attempt in `preparing` has no folder. The control plane delivers its assignment again.",
  ];
  return { path: "docs/explanation/attempts-on-a-worker.md", text: `${text.join("\n\n")}\n` };
}
