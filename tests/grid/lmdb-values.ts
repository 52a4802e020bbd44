// Values that the LMDB tests and the processes that they start agree on.

/** The value of a number: it can be checked without having been kept. */
export function valueOf(number: number, bytes: number): Buffer {
  const value = Buffer.alloc(Math.max(8, bytes), number & 0xff);
  value.writeDoubleLE(number);
  return value;
}
