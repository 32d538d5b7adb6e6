import { text } from "node:stream/consumers";
import { Name } from "@towpath/contract";
import { z } from "zod";
import { ExternalSources } from "./external.ts";
import { readSecret } from "./providers.ts";
import { SecretUnavailable } from "./secret-unavailable.ts";
import { SecretSourceShape, VaultShape } from "./shapes.ts";
import { secretSource, vaultFault } from "./sources.ts";

/** What `towpath doctor` asks: sources of a worker's configuration, by their paths in it. */
const Request = z.object({
  folder: z.string().min(1),
  vaults: z.record(Name, VaultShape).default({}),
  sources: z.record(z.string(), SecretSourceShape),
});

/** The value of a source, or why there is none. */
type Answer = { value: string } | { fault: string };

/**
 * Answers a request on `input` with the value or the fault of each source, as JSON. It is for commands that check a
 * worker's configuration as the worker's user.
 */
export async function printValues(
  output: NodeJS.WritableStream,
  args: { input: NodeJS.ReadableStream; environment: Readonly<Record<string, string | undefined>> },
): Promise<void> {
  const parsed = Request.safeParse(JSON.parse(await text(args.input)));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    output.write(JSON.stringify({ fault: `${issue?.path.map(String).join(".")}: ${issue?.message}` }));
    return;
  }
  const { sources, ...ground } = parsed.data;
  const providers = { environment: args.environment, external: new ExternalSources(args) };
  const values = await Promise.all(
    Object.entries(sources).map(async ([path, shaped]): Promise<[string, Answer]> => {
      const unknown = vaultFault(shaped, ground.vaults);
      if (unknown !== null) return [path, { fault: unknown }];
      try {
        const source = secretSource(shaped, ground);
        return [path, { value: await readSecret(providers, { name: "it", source }) }];
      } catch (error) {
        if (!(error instanceof SecretUnavailable)) throw error;
        return [path, { fault: error.message }];
      }
    }),
  );
  output.write(JSON.stringify({ values: Object.fromEntries(values) }));
}
