import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { isIP } from "node:net";

/** A certificate authority for one test, and a server certificate that it issued. All PEM. */
export interface TestCertificates {
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

/** One DER value (X.690): tag, length, content. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const inside = Buffer.concat(parts);
  const { length } = inside;
  const sizes = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...sizes]), inside]);
}

const sequence = (...parts: Uint8Array[]) => der(0x30, ...parts);
const objectId = (...bytes: number[]) => der(0x06, Buffer.from(bytes));
const octets = (inside: Uint8Array) => der(0x04, inside);
const ECDSA_SHA256 = sequence(objectId(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
const COMMON_NAME = objectId(0x55, 0x04, 0x03);
const BASIC_CONSTRAINTS = objectId(0x55, 0x1d, 0x13);
const ALT_NAME = objectId(0x55, 0x1d, 0x11);
const TRUE = der(0x01, Buffer.from([0xff]));

const nameOf = (text: string) => sequence(der(0x31, sequence(COMMON_NAME, der(0x0c, Buffer.from(text)))));
const year = (of: number) => der(0x18, Buffer.from(`${of}0101000000Z`));

function altNames(hosts: readonly string[]): Buffer {
  const names = hosts.map((host) =>
    isIP(host) === 4 ? der(0x87, Buffer.from(host.split(".").map(Number))) : der(0x82, Buffer.from(host)),
  );
  return sequence(ALT_NAME, octets(sequence(...names)));
}

function pem(bytes: Uint8Array): string {
  const lines = Buffer.from(bytes).toString("base64").replaceAll(/.{64}/g, "$&\n").trimEnd();
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

/** An X.509 version 3 certificate (RFC 5280) that is valid for a century around now. */
function certificate(args: {
  serial: number;
  issuer: string;
  subject: string;
  key: KeyObject;
  extension: Uint8Array;
  signedBy: KeyObject;
}): string {
  const signed = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([args.serial])),
    ECDSA_SHA256,
    nameOf(args.issuer),
    sequence(year(2000), year(2100)),
    nameOf(args.subject),
    args.key.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(args.extension)),
  );
  const signature = sign("sha256", signed, args.signedBy);
  return pem(sequence(signed, ECDSA_SHA256, der(0x03, Buffer.concat([Buffer.from([0]), signature]))));
}

/** Makes an authority and a certificate for host names or IPv4 addresses. Nothing else trusts the authority. */
export function makeCertificates(hosts: readonly string[]): TestCertificates {
  const [authority, server] = [0, 0].map(() => generateKeyPairSync("ec", { namedCurve: "P-256" }));
  if (!authority || !server) throw new Error("no keys");
  const issuer = "Towpath test authority";
  const isAuthority = sequence(BASIC_CONSTRAINTS, TRUE, octets(sequence(TRUE)));
  return {
    authority: certificate({
      serial: 1,
      issuer,
      subject: issuer,
      key: authority.publicKey,
      extension: isAuthority,
      signedBy: authority.privateKey,
    }),
    certificate: certificate({
      serial: 2,
      issuer,
      subject: hosts[0] ?? "",
      key: server.publicKey,
      extension: altNames(hosts),
      signedBy: authority.privateKey,
    }),
    key: server.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}
