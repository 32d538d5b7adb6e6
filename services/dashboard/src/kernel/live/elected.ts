import { type Hub, openHub, type Tab } from "./hub.ts";
import { type FromHub, type Hear, type HubLink, liveAs, type ToHub, untilGone } from "./messages.ts";

/** The name of the channel and of the lock that tabs share. */
const NAME = "towpath-live";

/** A message between tabs, for browsers without shared workers. */
type Shout =
  | { readonly said: ToHub; readonly by: string }
  | { readonly told: FromHub; readonly to: string }
  | { readonly leads: string };

/** The hub of the leading tab. It answers the other tabs over the channel. */
class Leader {
  readonly #tabs = new Map<string, Tab>();
  readonly #hub: Hub = openHub();
  readonly #channel: BroadcastChannel;

  constructor(channel: BroadcastChannel) {
    this.#channel = channel;
  }

  hear({ said, by }: { said: ToHub; by: string }, own: Hear | null): void {
    const known = this.#tabs.get(by);
    const shout = (told: FromHub) => this.#channel.postMessage({ told, to: by } satisfies Shout);
    const tab = known ?? { post: own ?? shout };
    if (known === undefined && said.type === "follow") {
      this.#tabs.set(by, tab);
      if (own === null) untilGone(by, () => this.#leave(by));
    }
    if (said.type === "bye") this.#leave(by);
    else this.#hub.hear(tab, said);
  }

  #leave(by: string): void {
    const tab = this.#tabs.get(by);
    this.#tabs.delete(by);
    if (tab !== undefined) this.#hub.leave(tab);
  }
}

/**
 * A link to the hub in the leading tab, which holds a lock. When that tab closes, another tab gets the lock, and every
 * tab repeats what it follows.
 */
function electedLink(tab: string, hear: Hear): HubLink {
  const channel = new BroadcastChannel(NAME);
  let leader: Leader | null = null;
  let last: ToHub | null = null;
  const say = (message: ToHub) => {
    last = message;
    if (leader === null) channel.postMessage({ said: message, by: tab } satisfies Shout);
    else leader.hear({ said: message, by: tab }, hear);
  };
  channel.onmessage = ({ data }: MessageEvent<Shout>) => {
    if ("said" in data) leader?.hear(data, null);
    else if ("leads" in data) {
      // The new leader knows nothing of the runs yet.
      if (last?.type === "follow") for (const again of [null, ...last.runs]) say({ ...last, again });
    } else if (data.to === tab) hear(data.told);
  };
  void navigator.locks
    .request(NAME, () => {
      leader = new Leader(channel);
      channel.postMessage({ leads: tab } satisfies Shout);
      if (last !== null) say(last);
      return new Promise(() => {});
    })
    .catch(() => {});
  liveAs(tab);
  return { say };
}

/** A link to a hub of this tab's own, for browsers in which tabs share nothing. */
function ownLink(hear: Hear): HubLink {
  const hub = openHub();
  const tab = { post: hear };
  return { say: (message) => hub.hear(tab, message) };
}

/** Opens the link to the hub in a browser without shared workers. */
export function openElected(tab: string, hear: Hear): HubLink {
  const shares = typeof BroadcastChannel === "function" && navigator.locks !== undefined;
  return shares ? electedLink(tab, hear) : ownLink(hear);
}
