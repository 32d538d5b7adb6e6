/** The control plane cannot show lines that stay in the customer's store. The worker takes no work from it. */
export class LogsUnreadable extends Error {
  override readonly name = "LogsUnreadable";
  readonly code = "logs-unreadable";

  constructor(url: string) {
    super(
      `The control plane at ${url} is of an earlier release: it cannot show log lines that stay in the store. Update the control plane, or set "logs" to "sealed" in the worker's configuration.`,
    );
  }
}

/**
 * Checks that readers of this control plane can get stored lines. Otherwise it would drop where they are.
 * @throws LogsUnreadable
 */
export function checkSessionReads(
  { url, logs }: { readonly url: string; readonly logs?: "sealed" | "stored" | undefined },
  { reads }: { readonly reads?: boolean | undefined },
): void {
  if (logs === "stored" && reads !== true) throw new LogsUnreadable(url);
}
