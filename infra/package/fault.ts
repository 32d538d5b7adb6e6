/** The package cannot be built from this checkout. The message says what to do. */
export class PackageFault extends Error {
  override readonly name = "PackageFault";
}
