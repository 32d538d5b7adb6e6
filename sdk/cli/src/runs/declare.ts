import { LIMITS } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { PAGE_MAX } from "../pages.ts";
import { type Carry, countUpTo, gather, parameterOption, type Root, wholeNumber } from "../program.ts";
import { answerRun } from "./answer.ts";
import { cancelRuns } from "./cancel.ts";
import { listRuns, run, showRun } from "./commands.ts";
import { type ManyRequest, runMany } from "./create-many.ts";
import { diffRuns } from "./diff.ts";
import { sendEvent } from "./event.ts";
import { removeRuns } from "./remove.ts";
import { rerun } from "./rerun.ts";
import { listWaits, WAITS_SHOWN } from "./waits.ts";
import { whyRun } from "./why.ts";

function declareAgain(root: Root, carry: Carry): void {
  root
    .command("rerun")
    .summary("run a run again, whole or from its failure")
    .description(
      "Starts a new run with the parameters of a run that has ended. Prints a plan first: which results are reused, which tasks run, and why. Uses the deployment's latest version unless --same-version is given.",
    )
    .argument("<run>", "the run's id, or the start or end of it")
    .option("--from-failure", "reuse the results of completed tasks that are still valid")
    .option(
      "--same-version",
      "use the version of the earlier run; refused if it is below the deployment's floor",
    )
    .addOption(parameterOption())
    .option("--plan", "print the plan and start nothing")
    .option("-w, --watch", "follow the run until it ends")
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath rerun RUN --from-failure --plan\n  $ towpath rerun RUN --from-failure -p epochs=5 --watch\n  $ towpath rerun RUN --same-version           the same version and parameters",
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
    .summary("compare two runs, task by task")
    .description("Compares the code, inputs and results of two runs, task by task.")
    .argument("<before>", "the first run's id, or the start or end of it")
    .argument("<after>", "the second run's id, or the start or end of it")
    .action((before, after, _, command) =>
      carry(command, (invocation) => diffRuns(invocation, { before, after })),
    );
}

/** @throws Failure for an option that is valid for one run only. */
function onlyMany(request: ManyRequest, alone: { given: readonly string[]; watch: boolean }): ManyRequest {
  if (alone.given.length === 0 && !alone.watch) return request;
  throw new Failure("--param and --watch cannot be used with --from.", {
    exit: "usage",
    next: ["put the parameters into the file, one JSON object on each line"],
  });
}

function declareRun(root: Root, carry: Carry): void {
  root
    .command("run")
    .summary("start a run of a deployment")
    .description(
      "Starts a run of a deployment's latest version. Checks the parameters against the flow's schema first. With --watch it follows the run, and the exit code is the run's outcome.",
    )
    .argument("<name>", "the deployment, such as hello or hello@prod; hello@ is the one without a stage")
    .option("--stage <name>", "run the deployment of this stage")
    .addOption(parameterOption())
    .option("-w, --watch", "follow the run until it ends")
    .option("-t, --tag <tag>", "add a tag; may be repeated", gather)
    .option(
      "--priority <n>",
      "set the priority within the queue, -100 to 100; the highest starts first",
      wholeNumber,
    )
    .option("--queue <name>", "put the run into this queue of the deployment's pool")
    .option(
      "--at <time>",
      "start at or after this time: 2026-01-31T09:00+01:00, or 30m from now (default: now)",
    )
    .option("--expire-after <time>", "fail the run if no worker starts it within this time, such as 30m")
    .option(
      "--idempotency-key <key>",
      "create no second run for the same key; with --from, for the same key and line",
    )
    .option(
      "--from <file>",
      "start one run for each line of this file, a JSON object of parameters; - reads standard input",
    )
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath run hello -p name=Ada --watch\n  $ towpath run flights@prod -p epochs=3 -t nightly --json\n  $ towpath run flights --from days.ndjson",
    )
    .action((deployment, options, command) =>
      carry(command, (invocation) => {
        const { from, stage, priority, queue, at, expireAfter, idempotencyKey } = options;
        const tags = options.tag ?? [];
        const shared = { deployment, stage, tags, priority, queue, at, expireAfter, idempotencyKey };
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
    .summary("list the questions that runs ask, and other waits")
    .description(
      "Lists open questions, oldest first, each with the command that answers it. With --all it lists every wait.",
    )
    .option("-d, --deployment <name>", "list only runs of this deployment")
    .option("-a, --all", "also list waits for events, jobs, other runs and times")
    .option("-n, --limit <n>", "print at most this many rows", countUpTo(LIMITS.pageRows), WAITS_SHOWN)
    .option("--page <n>", "print this page of the list", countUpTo(PAGE_MAX), 1)
    .addHelpText("after", "\nExamples:\n  $ towpath waits\n  $ towpath waits --all --deployment flights")
    .action((options, command) =>
      carry(command, (invocation) => {
        const { deployment, limit, page } = options;
        return listWaits(invocation, { deployment, all: options.all === true, limit, page });
      }),
    );
  root
    .command("answer")
    .summary("answer a run's question")
    .description(
      "Answers a run's question; the run continues at once. Without a value it prints the question and how to answer it, and at a terminal it asks for the answer.",
    )
    .argument("<run>", "the run's id, or the start or end of it")
    .argument("[value]", "the answer: yes, no, a number, text or JSON")
    .addOption(parameterOption())
    .option("--question <title>", "choose the question by its title, path or id, if the run asks several")
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
    .summary("send an event to runs")
    .description(
      "Sends an event to all runs that wait for it now, or that start to wait for it within a day.",
    )
    .argument("<name>", "the event's name")
    .option("--about <key>", "set the event's key; only waits for this key, or for any key, receive it")
    .addOption(parameterOption())
    .option("--payload <json>", "set the whole payload, at most 32 KiB")
    .option("--id <id>", "set the event's id, a UUIDv7; an event with the same id is sent once")
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
    .summary("explain why a run does not continue")
    .description("Explains why a run does not continue, and what would unblock it.")
    .argument("<run>", "the run's id, or the start or end of it")
    .action((id, _, command) => carry(command, (invocation) => whyRun(invocation, id)));
  declareWaits(root, carry);
  const runs = root
    .command("runs")
    .summary("list, show, cancel and remove runs")
    .description("Lists, shows, cancels and removes runs.");
  runs
    .command("ls")
    .description("Lists runs, newest first.")
    .argument("[state]", "list only runs in this state, such as failed")
    .option("-d, --deployment <name>", "list only runs of this deployment")
    .option("--stage <name>", "list only runs of deployments of this stage")
    .option("--pool <name>", "list only runs of this pool")
    .option("-t, --tag <tag>", "list only runs with this tag")
    .option("--text <text>", "list only runs whose deployment, name or id contains this text")
    .option("--since <time>", "list only runs created since this time: 2h, or 2026-01-31")
    .option("-n, --limit <n>", "print at most this many rows (default: 20)", wholeNumber)
    .option("--page <n>", "print this page of the list (default: 1)", countUpTo(PAGE_MAX))
    .option("--cursor <cursor>", "continue from an earlier page: `next` of --json")
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath runs ls failed --deployment flights\n  $ towpath runs ls --tag nightly --since 1d",
    )
    .action((state, options, command) =>
      carry(command, (invocation) => listRuns(invocation, { state, ...options })),
    );
  runs
    .command("show")
    .description("Shows one run: its state and cause, parameters, attempts, tasks and artifacts.")
    .argument("<run>", "the run's id, or the start or end of it")
    .action((id, _, command) => carry(command, (invocation) => showRun(invocation, id)));
  runs
    .command("cancel")
    .description(
      "Cancels one run, or all unfinished runs that match filters. Asks first on a terminal. Without a terminal, filters need --yes. Repeating it changes nothing.",
    )
    .argument("[run]", "the run's id, or the start or end of it")
    .option("--in-state <state>", "cancel only runs in this state, such as blocked")
    .option("-d, --deployment <name>", "cancel only runs of this deployment")
    .option("--stage <name>", "cancel only runs of deployments of this stage")
    .option("--pool <name>", "cancel only runs of this pool")
    .option("-t, --tag <tag>", "cancel only runs with this tag")
    .option("--text <text>", "cancel only runs whose deployment, name or id contains this text")
    .option("--since <time>", "cancel only runs created since this time: 2h, or 2026-01-31")
    .option("--reason <text>", "record why the runs were cancelled")
    .option("-y, --yes", "cancel without a question")
    .addHelpText(
      "after",
      '\nExamples:\n  $ towpath runs cancel RUN --reason "wrong day"\n  $ towpath runs cancel --deployment flights --in-state blocked',
    )
    .action((id, { reason = "", yes = false, inState: state, ...query }, command) =>
      carry(command, (invocation) => cancelRuns(invocation, { id, reason, yes, query: { ...query, state } })),
    );
  runs
    .command("rm")
    .description(
      "Removes runs that have ended, with their attempts, tasks, waits, logs and artifacts. The values in your store stay. Without a terminal, it needs --yes.",
    )
    .argument("<run...>", "the runs' ids, or the starts or ends of them")
    .option("-y, --yes", "remove without a question")
    .action((ids, { yes }, command) =>
      carry(command, (invocation) => removeRuns(invocation, { runs: ids, yes: yes === true })),
    );
}
