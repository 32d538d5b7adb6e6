/** What is wrong with a server's certificate, and what to do about it; both begin in lower case and end without a stop. */
export interface CertificateFault {
  readonly what: string;
  readonly fix: string;
}

const UNKNOWN_ISSUER: CertificateFault = {
  what: "its certificate comes from an authority that this machine does not know",
  fix: "name that authority's certificate, a PEM file, in NODE_EXTRA_CA_CERTS",
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
    fix: "have it renewed, and look at this machine's clock",
  },
  CERT_NOT_YET_VALID: { what: "its certificate is not valid yet", fix: "look at this machine's clock" },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    what: "its certificate is for another name",
    fix: "use the name that the certificate is for",
  },
};

/** The fault of a certificate that a system's code stands for, or null for any other code. */
export function certificateFault(code: string | null): CertificateFault | null {
  return code !== null && Object.hasOwn(FAULTS, code) ? (FAULTS[code] ?? null) : null;
}
