import { LIMITS } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { type Carry, countUpTo, gather, parameterOption, type Root, wholeNumber } from "../program.ts";
import { answerRun } from "./answer.ts";
import { cancelRun, listRuns, run, showRun } from "./commands.ts";
import { type ManyRequest, runMany } from "./create-many.ts";
import { diffRuns } from "./diff.ts";
import { sendEvent } from "./event.ts";
import { rerun } from "./rerun.ts";
import { listWaits } from "./waits.ts";
import { whyRun } from "./why.ts";

function declareAgain(root: Root, carry: Carry): void {
  root
    .command("rerun")
    .summary("run a run again: all of it, or what it did not complete")
    .description(
      "Starts a new run of what a run that has ended was asked for, and prints its plan first: what is taken over, what runs, and why. It runs the deployment's latest version unless told otherwise.",
    )
    .argument("<run>", "the run's id, or its beginning or end")
    .option("--from-failure", "take over what was completed and still holds")
    .option("--same-version", "run the version that ran then")
    .addOption(parameterOption())
    .option("--plan", "only print the plan")
    .option("-w, --watch", "follow the run to its end")
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath rerun RUN --from-failure --plan\n  $ towpath rerun RUN --from-failure -p epochs=5 --watch\n  $ towpath rerun RUN --same-version           an exact replay",
    )
    .action((id, options, command) =>
      carry(command, (invocation) =>
        rerun(invocation, {
          id,
          fromFailure: options.fromFailure === true,
          sameVersion: options.sameVersion === true,
          given: options.param,
          plan: options.plan === true,
          watch: options.watch === true,
        }),
      ),
    );
  root
    .command("diff")
    .summary("what differs between two runs, task by task")
    .description("Shows, task by task, what differs in code, input and result between two runs.")
    .argument("<before>", "one run's id, or its beginning or end")
    .argument("<after>", "the other's")
    .action((before, after, _, command) =>
      carry(command, (invocation) => diffRuns(invocation, { before, after })),
    );
}

/** @throws Failure for an option that means one run. */
function onlyMany(request: ManyRequest, alone: { given: readonly string[]; watch: boolean }): ManyRequest {
  if (alone.given.length === 0 && !alone.watch) return request;
  throw new Failure("--param and --watch are for one run.", {
    exit: "usage",
    next: ["write every parameter into the lines of the file"],
  });
}

function declareRun(root: Root, carry: Carry): void {
  root
    .command("run")
    .summary("start a run of a deployment")
    .description(
      "Starts a run of a deployment's latest version. Parameters are checked against the flow's schema before anything is created. With --watch it follows the run, and the exit code is the outcome.",
    )
    .argument("<name>", "the deployment")
    .addOption(parameterOption())
    .option("-w, --watch", "follow the run to its end")
    .option("-t, --tag <tag>", "a tag; once for each", gather)
    .option("--priority <n>", "higher goes first within its queue (-100 to 100)", wholeNumber)
    .option("--queue <name>", "a queue of the deployment's pool")
    .option("--expire-after <time>", "give it up if no worker has started it so long after it was due: 30m")
    .option("--idempotency-key <key>", "the same key again is the same run; with --from, of each line")
    .option(
      "--from <file>",
      "a run for each line, which is the JSON of its parameters; - reads standard input",
    )
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath run hello -p name=Ada --watch\n  $ towpath run flights -p epochs=3 -t nightly --json\n  $ towpath run flights --from days.ndjson",
    )
    .action((deployment, options, command) =>
      carry(command, (invocation) => {
        const { from, priority, queue, expireAfter, idempotencyKey } = options;
        const shared = { deployment, tags: options.tag ?? [], priority, queue, expireAfter, idempotencyKey };
        const alone = { given: options.param, watch: options.watch === true };
        return from === undefined
          ? run(invocation, { ...shared, ...alone })
          : runMany(invocation, onlyMany({ ...shared, from }, alone));
      }),
    );
}

function declareWaits(root: Root, carry: Carry): void {
  root
    .command("waits")
    .summary("what runs ask people, and what else they wait for")
    .description(
      "Lists the questions that nobody has answered yet, the first asked first, each with the command that answers it. With --all it lists everything that runs wait for.",
    )
    .option("-d, --deployment <name>", "only of this deployment's runs")
    .option("-a, --all", "events, jobs, other runs and times too")
    .option("-n, --limit <n>", "rows", countUpTo(LIMITS.pageRows), 50)
    .option("--cursor <cursor>", "go on from an earlier page")
    .addHelpText("after", "\nExamples:\n  $ towpath waits\n  $ towpath waits --all --deployment flights")
    .action((options, command) =>
      carry(command, (invocation) => {
        const { deployment, limit, cursor } = options;
        return listWaits(invocation, { deployment, all: options.all === true, limit, cursor });
      }),
    );
  root
    .command("answer")
    .summary("answer what a run asks")
    .description(
      "Says what a run asks and how to answer; with a value, or fields, answers it. The run goes on at once.",
    )
    .argument("<run>", "the run's id, or its beginning or end")
    .argument("[value]", "the answer: yes, no, a number, a text, JSON")
    .addOption(parameterOption())
    .option("--question <title>", "which question, if it asks more than one: its title, path or id")
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath answer RUN\n  $ towpath answer RUN yes\n  $ towpath answer RUN -p rate=0.1",
    )
    .action((id, value, options, command) =>
      carry(command, (invocation) =>
        answerRun(invocation, { id, value, given: options.param, question: options.question }),
      ),
    );
  root
    .command("event")
    .summary("tell of something that happened")
    .description("Sends an event to whichever runs wait for it now, or ask within a day.")
    .argument("<name>", "the event's name")
    .option("--about <key>", "what it is about: only waits for this key, or for any, take it")
    .addOption(parameterOption())
    .option("--payload <json>", "the whole payload, at most 32 KiB")
    .option("--id <id>", "a UUIDv7: the same id again is the same event")
    .addHelpText("after", "\nExample:\n  $ towpath event landed --about flight-7 -p minutes=3")
    .action((name, options, command) =>
      carry(command, (invocation) => {
        const { about: key, param, payload, id } = options;
        return sendEvent(invocation, { name, key, given: param, payload, id });
      }),
    );
}

/** Declares `run`, `rerun`, `diff` and `runs`. */
export function declareRuns(root: Root, carry: Carry): void {
  declareRun(root, carry);
  declareAgain(root, carry);
  root
    .command("why")
    .summary("why a run does not go on")
    .description("Says why a run does not go on, and what would unblock it.")
    .argument("<run>", "the run's id, or its beginning or end")
    .action((id, _, command) => carry(command, (invocation) => whyRun(invocation, id)));
  declareWaits(root, carry);
  const runs = root
    .command("runs")
    .summary("list, show and cancel runs")
    .description("Lists, shows and cancels runs.");
  runs
    .command("ls")
    .description("Lists runs, newest first.")
    .argument("[state]", "only runs in this state, such as failed")
    .option("-d, --deployment <name>", "only runs of this deployment")
    .option("--pool <name>", "only runs of this pool")
    .option("-n, --limit <n>", "rows", wholeNumber, 20)
    .option("--cursor <cursor>", "go on from an earlier page")
    .addHelpText("after", "\nExample:\n  $ towpath runs ls failed --deployment flights")
    .action((state, options, command) =>
      carry(command, (invocation) => {
        const { deployment, pool, limit, cursor } = options;
        return listRuns(invocation, { state, deployment, pool, limit, cursor });
      }),
    );
  runs
    .command("show")
    .description("Shows one run: its state and why, parameters, attempts, tasks and artifacts.")
    .argument("<run>", "the run's id, or its beginning or end")
    .action((id, _, command) => carry(command, (invocation) => showRun(invocation, id)));
  runs
    .command("cancel")
    .description("Asks that a run end. Repeating it changes nothing.")
    .argument("<run>", "the run's id, or its beginning or end")
    .option("--reason <text>", "why, for whoever looks later")
    .action((id, options, command) =>
      carry(command, (invocation) => cancelRun(invocation, { id, reason: options.reason ?? "" })),
    );
}
