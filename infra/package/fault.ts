/** The package cannot be built from this checkout; the message says what to do. */
export class PackageFault extends Error {
  override readonly name = "PackageFault";
}
