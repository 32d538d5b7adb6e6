import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { LIMITS } from "@towpath/contract";
import type { Attack } from "../attack.ts";
import type { Liar, Lie, Verb } from "../liar.ts";
import type { Offer } from "../offer.ts";
import type { Stage } from "../stage.ts";
import { broken, held, type Verdict } from "../verdict.ts";
import type { Wire } from "../wire.ts";

/** How long the worker's requests are counted, milliseconds. */
const WINDOW_MS = 3_000;
/** How long the number of journals must not fall, milliseconds. */
const SETTLES_MS = 1_000;

/** Counts the requests of a verb for a while. There may be at most so many a second, however the liar answers. */
async function atMost(
  stage: Stage,
  args: { verb: Verb; perSecond: number; while?: () => void },
): Promise<Verdict> {
  const { verb, perSecond } = args;
  const sinceMs = stage.deps.clock.nowMs();
  await stage.whileAlive(new Promise((resolve) => setTimeout(resolve, WINDOW_MS)));
  const seconds = (stage.deps.clock.nowMs() - sinceMs) / 1_000;
  const rate = stage.liar.count(verb, sinceMs) / seconds;
  const said = `${rate.toFixed(1)} requests a second`;
  return rate <= perSecond
    ? held(`${said}; the limit is ${perSecond}`)
    : broken(`${said}; the limit is ${perSecond}`);
}

/** Answers a verb with the same lie from now on. @returns what ends this */
function always(liar: Liar, verb: Verb, body: (honest: Wire, asked: Wire) => Wire): () => void {
  const lie: Lie = { body };
  liar.habits.set(verb, lie);
  return () => void liar.habits.delete(verb);
}

/** An attack on the pace of one verb, beside a run that holds the worker's loops. */
function onPace(
  name: string,
  args: {
    tries: string;
    fields: readonly string[];
    verb: Verb;
    counts?: Verb;
    perSecond: number;
    body: (honest: Wire, asked: Wire, stage: Stage) => Wire;
  },
): Attack {
  const play = async (stage: Stage): Promise<Verdict> => {
    const run = await stage.busy(name);
    const end = always(stage.liar, args.verb, (honest, asked) => args.body(honest, asked, stage));
    if (args.verb === "openSession") stage.liar.expireSessions();
    stage.liar.wake();
    const verdict = await atMost(stage, { verb: args.counts ?? args.verb, perSecond: args.perSecond });
    end();
    await stage.letGo(name);
    await stage.whileAlive(stage.liar.until(`"${name}" has ended`, () => run.isOver));
    return verdict;
  };
  return { name, group: "pace", tries: args.tries, fields: args.fields, isAlone: true, play };
}

const fresh = (stage: Stage) => `wait-${stage.liar.id()}`;

const PACES = [
  onPace("renew-interval", {
    tries: "Asks for renewals every 0 ms",
    fields: ["renew.intervalMs", "openSession.renewIntervalMs"],
    verb: "renew",
    perSecond: 10,
    body: (honest) => ({ ...honest, intervalMs: 0 }),
  }),
  onPace("empty-polls", {
    tries: "Answers polls at once, with nothing",
    fields: ["claim.assignments", "claim.superseded"],
    verb: "claim",
    perSecond: 5,
    body: (honest) => ({ ...honest, assignments: [], superseded: true }),
  }),
  onPace("new-commands", {
    tries: "Answers polls at once, each time with answers to waits that no flow has",
    fields: ["claim.commands[].kind", "claim.commands[].paths[]", "claim.commands[].attemptId"],
    verb: "claim",
    perSecond: 5,
    body: (honest, _asked, stage) => ({
      ...honest,
      commands: stage.liar.offers.map(({ attemptId }) => ({
        kind: "answers",
        attemptId,
        paths: [fresh(stage)],
      })),
    }),
  }),
  onPace("new-jobs", {
    tries: "Answers questions about jobs at once, each time with other jobs that are gone",
    fields: ["tendJobs.gone[]", "tendJobs.cancel[]", "tendJobs.wanted"],
    verb: "tendJobs",
    perSecond: 5,
    body: (honest, _asked, stage) => ({
      ...honest,
      gone: [stage.liar.id()],
      cancel: [stage.liar.id()],
      wanted: true,
    }),
  }),
  onPace("short-sessions", {
    tries: "Opens sessions that are over at once",
    fields: ["openSession.expiresInMs"],
    verb: "openSession",
    perSecond: 5,
    body: (honest) => ({ ...honest, expiresInMs: 0 }),
  }),
  onPace("new-incarnations", {
    tries: "Says in each answer that the database was restored",
    fields: ["claim.incarnation", "renew.incarnation", "report.incarnation"],
    verb: "renew",
    counts: "report",
    perSecond: 45,
    body: (honest, _asked, stage) => ({ ...honest, incarnation: stage.liar.id(), intervalMs: 0 }),
  }),
];

/** Assignments of one answer, far more than a worker can hold. */
const FLOOD = 5_000;

const MANY: Attack = {
  name: "assignment-flood",
  group: "pace",
  tries: `Sends ${FLOOD.toLocaleString("en")} assignments in one answer`,
  fields: ["claim.assignments[]"],
  isAlone: true,
  async play(stage) {
    const { name } = MANY;
    const argv = ["true"];
    const spec = stage.sign(stage.spec(name, { entry: { kind: "command", argv } }));
    const offers = Array.from({ length: FLOOD }, () =>
      stage.liar.hold(stage.assignment(spec, { deployment: name })),
    );
    let most = 0;
    stage.liar.onHeld = (count) => {
      most = Math.max(most, count);
    };
    await stage.whileAlive(
      stage.liar.lie("claim", {
        body: (honest) => ({ ...honest, assignments: offers.map(({ assignment }) => assignment) }),
      }),
    );
    await stage.asksAgain("claim");
    const last = "after-the-flood";
    const after = await stage.give(
      stage.assignment(stage.sign(stage.spec(last)), { deployment: last }),
      last,
    );
    stage.liar.onHeld = () => undefined;
    const taken = offers.filter(({ control }) => control.length > 0).length;
    if (!after.ran) return broken(`an honest run afterwards did not run: ${after.why}`);
    if (taken > LIMITS.attempts) return broken(`the worker took ${taken}, and held ${most} at once`);
    return held(`the worker took ${taken} of them; the limit is ${LIMITS.attempts}`);
  },
};

/** Assignments of one answer that are refused. */
const MORE = 250;
/** How many assignments of the flood one answer has. The worker ignores those that it cannot hold. */
const ROUND = 100;
/** How long the flood may take. */
const FLOOD_MS = 120_000;

/** Answers with as many assignments as a worker takes at once, until it has more journals than it may keep. */
const REFUSALS: Attack = {
  name: "refusal-flood",
  group: "pace",
  tries:
    "Sends 1,250 assignments that the worker refuses or gives back, to fill its disk with their journals",
  fields: ["claim.assignments[].parameters"],
  isAlone: true,
  async play(stage) {
    const { name } = REFUSALS;
    const spec = stage.sign(stage.spec(name));
    const refused = { deployment: name, parameters: { liar: true } };
    const offers: Offer[] = [];
    const ended = () => offers.filter(({ outcome }) => outcome !== null).length;
    const untilMs = performance.now() + FLOOD_MS;
    // A worker that takes them more slowly than this is not filled.
    while (ended() < LIMITS.unstartedJournals + MORE && performance.now() < untilMs) {
      const round = Array.from({ length: ROUND }, () => stage.liar.hold(stage.assignment(spec, refused)));
      offers.push(...round);
      const assignments = round.map(({ assignment }) => assignment);
      const before = ended();
      await stage.whileAlive(stage.liar.lie("claim", { body: (honest) => ({ ...honest, assignments }) }));
      // A worker that has had too many takes none for a moment.
      const polls = stage.liar.count("claim");
      await stage.whileAlive(
        stage.liar.until(
          "some of them are refused or given back, or the worker asks again",
          () => ended() > before || stage.liar.count("claim") > polls,
        ),
      );
    }
    const sent = offers.length;
    await holdsNothing(stage);
    const kept = await settledJournals(stage);
    if (await stage.ran(name)) return broken("the code ran");
    // Those of the attacks before it ran, and stay.
    const most = LIMITS.unstartedJournals + stage.liar.offers.filter(({ isStarted }) => isStarted).length;
    return kept <= most
      ? held(`${sent} did not run, and ${kept} journals are kept`)
      : broken(`${sent} did not run, and ${kept} journals are kept; the limit is ${most}`);
  },
};

/** How many refused runs of one deployment are sent. */
const AGAIN = 40;

const AGAIN_AND_AGAIN: Attack = {
  name: "refused-again",
  group: "pace",
  tries: `Sends ${AGAIN} runs of one version that the worker refuses, one after another, with bad signatures and specs of another deployment`,
  fields: ["claim.assignments[].spec", "claim.assignments[].deployment"],
  isAlone: true,
  async play(stage) {
    const { name } = AGAIN_AND_AGAIN;
    const spec = stage.sign(stage.spec(name));
    const forms = [
      { spec: stage.sign(stage.spec(`${name}-elsewhere`)) },
      { spec: `${spec.slice(0, -8)}AAAAAAAA` },
    ];
    let looked = 0;
    for (const [kind, form] of forms.entries())
      for (let time = 0; time < AGAIN; time++) {
        const assignment = stage.assignment(spec, { deployment: name, version: kind + 1, ...form });
        const { ran, outcome } = await stage.give(assignment, name);
        if (ran) return broken("the code ran");
        if (outcome === "refused") looked += 1;
      }
    const other = `${name}-other`;
    const honest = await stage.give(
      stage.assignment(stage.sign(stage.spec(other)), { deployment: other }),
      other,
    );
    if (!honest.ran) return broken(`a run of another deployment did not run meanwhile: ${honest.why}`);
    return looked < AGAIN
      ? held(
          `the worker looked at ${looked} of ${forms.length * AGAIN}, gave the others back, and ran another deployment`,
        )
      : broken(`the worker looked at ${looked} of ${forms.length * AGAIN}`);
  },
};

/** Asks the worker to poll until it holds no attempt. A busy machine may need a while for the last ones. */
async function holdsNothing(stage: Stage): Promise<void> {
  let count = Number.POSITIVE_INFINITY;
  stage.liar.onHeld = (now) => {
    count = now;
  };
  const untilMs = performance.now() + FLOOD_MS;
  while (count > 0 && performance.now() < untilMs) {
    await stage.whileAlive(stage.liar.lie("claim", { body: (honest) => honest }));
    await stage.asksAgain("claim");
  }
  stage.liar.onHeld = () => undefined;
}

/** How many journals the worker keeps, once their number has stopped falling. */
async function settledJournals(stage: Stage): Promise<number> {
  const count = async () => (await readdir(join(stage.stateDir, "journals"))).length;
  for (let before = Number.POSITIVE_INFINITY; ; ) {
    const now = await count();
    if (now >= before) return now;
    before = now;
    await stage.whileAlive(new Promise((resolve) => setTimeout(resolve, SETTLES_MS)));
  }
}

/** Attacks on a worker's time, memory and disk. */
export const PACE_ATTACKS: readonly Attack[] = [...PACES, MANY, AGAIN_AND_AGAIN, REFUSALS];
