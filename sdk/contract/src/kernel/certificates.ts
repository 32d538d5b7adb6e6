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
