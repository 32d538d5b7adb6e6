/** The smallest rounded size, bytes: below, sizes tell most about values. */
const SIZE_MIN = 1_024;

/**
 * The size to which bytes are rounded up: few sizes exist, and at most 12 % are added.
 * Source: PADMÉ, in "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs" (2019).
 */
export function roundedSize(bytes: number): number {
  if (bytes <= SIZE_MIN) return SIZE_MIN;
  const exponent = Math.floor(Math.log2(bytes));
  const step = 2 ** (exponent - (Math.floor(Math.log2(exponent)) + 1));
  return Math.ceil(bytes / step) * step;
}
