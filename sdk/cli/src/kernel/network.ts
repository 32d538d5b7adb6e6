import { certificateFault, proxyFor, proxySettings } from "@towpath/contract";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * A `fetch` that uses the proxies in `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, like curl and git. Node's own does so only in
 * recent versions and on request.
 */
export function networkFetch(environment: Environment): typeof globalThis.fetch {
  const settings = proxySettings(environment);
  if (settings === null) return (...args) => globalThis.fetch(...args);
  const loaded = import("undici").then(({ EnvHttpProxyAgent, fetch }) => {
    const dispatcher = new EnvHttpProxyAgent(settings);
    // The package and Node have the same implementation. Only their type declarations differ.
    return ((input: string, init: object) =>
      fetch(input, { ...init, dispatcher })) as unknown as typeof globalThis.fetch;
  });
  loaded.catch(() => undefined);
  return async (...args) => (await loaded)(...args);
}

/** Why a server could not be reached, as a part of a sentence, and the fix. */
export interface ReachFault {
  readonly what: string;
  readonly fix: string;
}

/** The most causes that are followed. */
const CAUSES_MAX = 6;
const PROXY_ANSWER = /Proxy response \((\d{3})\)/;

function chainOf(error: unknown): Error[] {
  const chain: Error[] = [];
  for (let one = error; one instanceof Error && chain.length < CAUSES_MAX; one = one.cause) chain.push(one);
  return chain;
}

/** The system's code of the deepest cause, or null. */
function codeOf(chain: readonly Error[]): string | null {
  const codes = chain.flatMap((one) => ("code" in one && typeof one.code === "string" ? [one.code] : []));
  return codes.at(-1) ?? null;
}

/** Explains why an address did not answer. Null if the reason is unknown. */
export function reachFault(
  url: string,
  args: { error: unknown; environment: Environment },
): ReachFault | null {
  const chain = chainOf(args.error);
  const code = codeOf(chain);
  const certificate = certificateFault(code);
  const proxy = proxyFor(url, args.environment);
  if (certificate) {
    const between = proxy === null ? "" : `; it may be the certificate of the proxy ${proxy}`;
    return { what: certificate.what + between, fix: `${certificate.fix}; do the same for workers` };
  }
  if (proxy !== null) {
    const answered = chain.map(({ message }) => PROXY_ANSWER.exec(message)?.[1]).find(Boolean);
    const why = answered === undefined ? `does not work (${code ?? "no answer"})` : `answers ${answered}`;
    const login = answered === "407" ? "put its user and password into HTTPS_PROXY, or " : "";
    return {
      what: `the proxy ${proxy} ${why}`,
      fix: `${login}correct HTTPS_PROXY or HTTP_PROXY, or add ${new URL(url).hostname} to NO_PROXY`,
    };
  }
  if (code === "ENOTFOUND" || code === "EAI_AGAIN")
    return {
      what: `the name ${new URL(url).hostname} cannot be resolved`,
      fix: "check its spelling and this machine's DNS; if there is a proxy, set HTTPS_PROXY",
    };
  return null;
}
