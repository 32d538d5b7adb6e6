/** The proxy settings. An empty address means no proxy. */
export interface ProxySettings {
  readonly httpProxy: string;
  readonly httpsProxy: string;
  /** Hosts that are reached directly, separated by commas. */
  readonly noProxy: string;
}

/** This machine is never reached through a proxy, whose loopback is another machine. */
const LOOPBACK = ["localhost", "127.0.0.1", "::1"];

/**
 * Reads `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in upper or lower case. Null without a proxy.
 */
export function proxySettings(
  environment: Readonly<Record<string, string | undefined>>,
): ProxySettings | null {
  const read = (name: string) => environment[name.toLowerCase()] || environment[name] || "";
  const [httpProxy, httpsProxy] = [read("HTTP_PROXY"), read("HTTPS_PROXY")];
  if (httpProxy === "" && httpsProxy === "") return null;
  const noProxy = [read("NO_PROXY"), ...LOOPBACK].filter((one) => one !== "").join(",");
  return { httpProxy, httpsProxy, noProxy };
}

/** The proxy for an address, with its login if it has one. Null without a proxy. */
export function proxyAddressFor(
  url: string,
  environment: Readonly<Record<string, string | undefined>>,
): string | null {
  const settings = proxySettings(environment);
  if (settings === null || !URL.canParse(url)) return null;
  const { protocol, hostname } = new URL(url);
  const host = hostname.replace(/^\[(.+)\]$/, "$1");
  const isDirect = settings.noProxy.split(/[,\s]+/).some((entry) => {
    const name = entry.replace(/^\*?\./, "").replace(/(?<=[a-z0-9]):\d+$/i, "");
    return name === "*" || host === name || (name !== "" && host.endsWith(`.${name}`));
  });
  if (isDirect) return null;
  return (protocol === "https:" && settings.httpsProxy) || settings.httpProxy || null;
}

/** The proxy for an address, without its password. Null without a proxy. */
export function proxyFor(
  url: string,
  environment: Readonly<Record<string, string | undefined>>,
): string | null {
  const proxy = proxyAddressFor(url, environment);
  return proxy !== null && URL.canParse(proxy) ? new URL(proxy).host : proxy;
}

/** A fault of a server's certificate and its fix. Both begin in lower case and end without a full stop. */
export interface CertificateFault {
  readonly what: string;
  readonly fix: string;
}

const UNKNOWN_ISSUER: CertificateFault = {
  what: "this machine does not trust the authority that issued its certificate",
  fix: "set NODE_EXTRA_CA_CERTS to that authority's certificate, a PEM file",
};

/** Faults by the code that Node's TLS gives them. */
const FAULTS: Readonly<Record<string, CertificateFault>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_ISSUER,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_ISSUER,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_ISSUER,
  CERT_HAS_EXPIRED: {
    what: "its certificate has expired",
    fix: "renew it, or correct this machine's clock",
  },
  CERT_NOT_YET_VALID: { what: "its certificate is not valid yet", fix: "correct this machine's clock" },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    what: "its certificate is for another host name",
    fix: "use the host name of the certificate",
  },
};

/** The certificate's fault for a system's error code, or null for another code. */
export function certificateFault(code: string | null): CertificateFault | null {
  return code !== null && Object.hasOwn(FAULTS, code) ? (FAULTS[code] ?? null) : null;
}
