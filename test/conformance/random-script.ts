import type { Json } from "@towpath/contract";
import type { Random } from "../chaos/random.ts";
import type { Script, Step } from "./script.ts";

/** The most tasks of a script, and the most steps of a function. */
const TASKS_MAX = 3;
const STEPS_MAX = 4;
const FINAL_TRIES = 1000;

/** Where steps are. Only the flow has branches: in a later try of a task, their equal calls may be refused. */
type Place = "flow" | "task" | "branch";
type Kind = Step["do"] | "drawn";

/** Makes one script. Names and keys are counted, so that branches side by side share none. */
class Maker {
  readonly #random: Random;
  readonly #isSequential: boolean;
  #made = 0;

  constructor(random: Random, isSequential: boolean) {
    this.#random = random;
    this.#isSequential = isSequential;
  }

  #unique(head: string): string {
    this.#made += 1;
    return `${head}${this.#made}`;
  }

  /** @param level The number of tasks that may be called. */
  steps(level: number, place: Place): Step[] {
    const count = 1 + this.#random.whole(0, STEPS_MAX - 1);
    return Array.from({ length: count }, () => this.#step(level, place));
  }

  #step(level: number, place: Place): Step {
    const kinds: [Kind, ...Kind[]] = ["call", "call", "catch", "map", "loop", "kept", "drawn", "now"];
    // Code of the flow itself that awaits, such as keep, does not hold up a suspension beside it.
    if (place !== "branch") kinds.push("keep");
    if (place === "flow") kinds.push("sleep", "input", "flow", "raise");
    if (place === "task") kinds.push("raise", "raise");
    if (place === "branch") kinds.push("sleep");
    if (!this.#isSequential && place === "flow") kinds.push("parallel", "parallel", "parallel");
    switch (level === 0 ? this.#random.pick<Kind>(["keep", "drawn", "raise"]) : this.#random.pick(kinds)) {
      case "call":
        return this.#call(level);
      case "catch":
        return { do: "catch", steps: this.#inner(level, place), as: this.#unique("e") };
      case "map":
        return this.#map(level);
      case "loop":
        return { do: "loop", times: 2, steps: this.#inner(level, place) };
      case "keep":
        return { do: "keep", name: this.#unique("k"), value: [this.#random.whole(0, 8)] };
      case "kept":
        return { do: "kept", name: `k${this.#random.whole(0, 8)}`, default: null };
      case "drawn": {
        const kind = this.#random.pick(["random", "uuid"] as const);
        return { do: kind, key: this.#unique("d"), as: this.#unique("v") };
      }
      case "now":
        return { do: "now", key: this.#unique("n"), as: this.#unique("v") };
      case "sleep":
        return { do: "sleep", ms: 60_000, key: this.#unique("s") };
      case "input":
        return { do: "input", title: "q", id: this.#unique("i"), as: this.#unique("v") };
      case "flow":
        return this.#subflow(level);
      case "parallel": {
        const count = 2 + this.#random.whole(0, 1);
        const branches = Array.from({ length: count }, () => this.steps(level, "branch"));
        return { do: "parallel", branches };
      }
      default:
        return this.#raise(place);
    }
  }

  /** Steps in a block of the same function. */
  #inner(level: number, place: Place): Step[] {
    const call = this.#call(level);
    return this.#random.chance(1 / 3) ? [call, this.#raise(place)] : [call];
  }

  #call(level: number): Step {
    // Beside other calls, only its order would identify an equal call without arguments.
    const isBare = this.#isSequential && this.#random.chance(1 / 4);
    const isKeyed = this.#isSequential && this.#random.chance(1 / 5);
    return {
      do: "call",
      task: `t${this.#random.whole(0, level - 1)}`,
      args: isBare ? [] : [this.#argument(), ...(this.#isSequential ? [] : [this.#unique("a")])],
      options: isKeyed ? { key: this.#random.pick(["a/b", "c:d#2", "é"]) } : {},
      as: this.#unique("v"),
    };
  }

  #argument(): Json {
    return this.#random.pick<Json>([0, 1, "x", [1, { y: null }], { $: "0" }, 0.5, true]);
  }

  #map(level: number): Step {
    const items = Array.from({ length: this.#random.whole(0, 3) }, () => this.#argument());
    const settled = this.#random.chance(1 / 2);
    return {
      do: "map",
      task: `t${this.#random.whole(0, level - 1)}`,
      items,
      more: this.#random.chance(1 / 2) ? [] : [this.#unique("m")],
      keyed: false,
      settled,
      // Of failed calls side by side, either may be the first.
      concurrency: this.#isSequential || !settled ? 1 : 2,
      as: this.#unique("v"),
    };
  }

  #subflow(level: number): Step {
    const steps = [this.#call(level), this.#call(level)];
    return {
      do: "flow",
      name: "part",
      parameters: { given: this.#unique("g") },
      steps,
      as: this.#unique("v"),
    };
  }

  #raise(place: Place): Step {
    const isOnce = place === "task" && this.#random.chance(1 / 2);
    const final = this.#random.chance(1 / 4);
    return { do: "raise", message: this.#unique("error "), tries: isOnce ? 1 : FINAL_TRIES, final };
  }

  task(level: number): Script["tasks"][string] {
    const random = this.#random;
    const options = {
      ...(random.chance(1 / 2) && { retries: 1 + random.whole(0, 1) }),
      ...(random.chance(1 / 6) && { checkpoint: false }),
      ...(random.chance(1 / 6) && { durable: true }),
      ...(random.chance(1 / 6) && { limits: ["gpu"] }),
      ...(this.#isSequential && random.chance(1 / 6) && { cache: true }),
    };
    return { options, steps: this.#returning(this.steps(level, "task")) };
  }

  #returning(steps: Step[]): Step[] {
    const names = steps.flatMap((step) => ("as" in step && step.as !== undefined ? [step.as] : []));
    return [...steps, { do: "return", value: ["0", ...names].map(($) => ({ $ })) }];
  }

  flow(level: number): Step[] {
    return this.#returning(this.steps(level, "flow"));
  }
}

/** A random script. What it should record is unknown: only the two engines can be compared. */
export function randomScript(random: Random, title: string): Script {
  const isSequential = random.chance(1 / 2);
  const maker = new Maker(random, isSequential);
  const count = 1 + random.whole(0, TASKS_MAX - 1);
  const tasks = Array.from({ length: count }, (_, level) => [`t${level}`, maker.task(level)] as const);
  return {
    title,
    isSequential,
    answers: [{ q: 7 }],
    resumes: 1,
    tasks: Object.fromEntries(tasks),
    flow: maker.flow(count),
    outcome: "completed",
    executions: {},
  };
}
