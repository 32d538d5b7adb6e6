import { portTaken } from "../dev/port.ts";
import { untilInterrupted } from "../dev/stopping.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { networkFetch } from "../kernel/network.ts";
import { type Carry, portNumber, type Root } from "../program.ts";
import { serveView, type View, type ViewTarget } from "./serve.ts";

/** The port of the view unless `--port` names another. */
const DEFAULT_PORT = 4210;

/** Serves on the requested port, else on the default port or, if another program has that one, on any free port. */
async function opened(target: ViewTarget, asked: number | undefined): Promise<View> {
  try {
    return await serveView(target, { port: asked ?? DEFAULT_PORT });
  } catch (cause) {
    const isTaken = cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE";
    if (!isTaken) throw cause;
    if (asked !== undefined) throw portTaken(asked, cause);
    return await serveView(target, { port: 0 });
  }
}

/** `towpath view` */
async function view(invocation: Invocation, port: number | undefined): Promise<void> {
  const { output, config } = invocation;
  const { url, key, workspaceKeys, client } = await invocation.connect();
  const { workspace } = await client.getMe();
  const fetch = networkFetch(config.environment);
  await using shown = await opened({ url, key, workspaceKeys, fetch }, port);
  output.data({ url: shown.link, port: shown.port });
  output.line(shown.link);
  const { dim } = output.style;
  output.note(dim(`Open this link in a browser. It shows the workspace ${workspace.name} of ${url}.`));
  if (workspace.sealed && workspaceKeys.length === 0)
    output.note(
      dim(
        "There is no workspace key here. Store one with `towpath workspace add-key FILE`, then start again.",
      ),
    );
  output.note(dim("Everybody on this machine who has the link acts with your key. Ctrl-C stops the view."));
  const { signal, release } = untilInterrupted();
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  release();
}

/** Declares `view`. */
export function declareView(root: Root, carry: Carry): void {
  root
    .command("view")
    .summary("serve the dashboard from this machine")
    .description(
      "Serves the dashboard of this installation on 127.0.0.1 and passes its calls on to the control plane, with the key in use. The control plane serves none of the page's code, so it cannot read what the page decrypts. In a sealed workspace, the page opens values with the workspace keys of the profile.",
    )
    .option("--port <n>", "listen on this port of 127.0.0.1 (default: 4210, or any free one)", portNumber)
    .addHelpText("after", "\nExample:\n  $ towpath view")
    .action(({ port }, command) => carry(command, (invocation) => view(invocation, port)));
}
