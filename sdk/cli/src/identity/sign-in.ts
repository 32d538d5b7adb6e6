import type { Client } from "@towpath/client";
import { Failure } from "../failure.ts";
import { LOOPBACK } from "../kernel/connection.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { printable } from "../output.ts";
import type { Carry, Root } from "../program.ts";
import { findRunId } from "../runs/find.ts";

/** Where a sign-in link may lead. */
export interface SignInPlaces {
  /** The control plane's address, from the user's own configuration. */
  readonly url: string;
  /** Other addresses of its dashboard, from TOWPATH_DASHBOARD_URL. */
  readonly dashboards: readonly string[];
}

/** @throws Failure if an address of TOWPATH_DASHBOARD_URL is neither https nor on this machine. */
function checkedDashboard(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : null;
  const isSafe =
    url?.protocol === "https:" || (url?.protocol === "http:" && LOOPBACK.test(url.hostname) === true);
  if (url !== null && isSafe) return url;
  throw new Failure(`"${printable(address)}" in TOWPATH_DASHBOARD_URL is not the address of a dashboard.`, {
    exit: "configuration",
    code: "bad-dashboard-url",
    next: ["write it like https://towpath.example.com; http:// is allowed only on this machine"],
  });
}

/** Whether two addresses have the same host and port. The names of this machine are one host. */
function isSameHost(one: URL, other: URL): boolean {
  if (one.host === other.host) return true;
  return LOOPBACK.test(one.hostname) && LOOPBACK.test(other.hostname) && one.port === other.port;
}

/**
 * The link as the user may open it. The control plane chooses its text, so it could lead to a copy of the sign-in page elsewhere.
 * A link without TLS to the host of an https address gets TLS: a proxy that ends TLS hides it from the control plane.
 * @throws Failure `foreign-link` if it leads to a host that the user's configuration does not name.
 */
function checkedLink(address: string, { url, dashboards }: SignInPlaces): URL {
  const allowed = [new URL(url), ...dashboards.map(checkedDashboard)];
  const link = URL.canParse(address) ? new URL(address) : null;
  const isLink = link !== null && /^https?:$/.test(link.protocol) && link.username + link.password === "";
  const place = isLink ? allowed.find((one) => isSameHost(one, link)) : undefined;
  if (link === null || place === undefined)
    throw new Failure(
      `The control plane at ${url} made a sign-in link that leads elsewhere: ${printable(link === null || !isLink ? address : link.origin).slice(0, 200)}`,
      {
        exit: "notPermitted",
        code: "foreign-link",
        next: [
          "do not open it, unless you know that this is the dashboard of your control plane",
          "if it is, name it with `TOWPATH_DASHBOARD_URL=https://HOST`, or use its address as that of the control plane",
        ],
      },
    );
  if (place.protocol === "https:") link.protocol = "https:";
  return link;
}

/**
 * A link that signs one browser in, once, and opens a page of the dashboard.
 * @throws Failure `foreign-link` if the control plane names another host than the user's configuration.
 */
export async function signInLink(
  client: Client,
  args: SignInPlaces & { readonly to: string },
): Promise<{ link: string; expiresAt: string }> {
  const { url: address, expiresAt } = await client.createSignInLink();
  const link = checkedLink(address, args);
  link.searchParams.set("to", args.to);
  return { link: link.href, expiresAt };
}

/** `towpath open [RUN]`. Only the link goes to stdout, for scripts. */
async function openDashboard(invocation: Invocation, run: string | undefined): Promise<void> {
  const { output, config } = invocation;
  const { client, url } = await invocation.connect();
  const to = run === undefined ? "/" : `/runs/${await findRunId(client, run)}`;
  const { link, expiresAt } = await signInLink(client, { to, url, dashboards: config.dashboards });
  output.data({ url: link, expiresAt });
  output.line(link);
  output.note(
    output.style.dim(
      "Open this link in a browser and confirm the sign-in. The link works once, within ten minutes.",
    ),
  );
}

/** Declares `open`. */
export function declareOpen(root: Root, carry: Carry): void {
  root
    .command("open")
    .summary("print a link that opens the dashboard")
    .description(
      "Prints a link that signs a browser in and opens the dashboard or one run's page. The link works once, within ten minutes, with the permissions of the key in use.",
    )
    .argument("[run]", "the run's id, or the start or end of it")
    .addHelpText("after", "\nExamples:\n  $ towpath open\n  $ towpath open 0193a0b1 --json")
    .action((run, _, command) => carry(command, (invocation) => openDashboard(invocation, run)));
}
