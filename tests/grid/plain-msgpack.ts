// A second reader of MessagePack, written from its specification and not from our library: what
// it can read, any library can. Extensions are refused: stored values must do without them.
// Source: https://github.com/msgpack/msgpack/blob/master/spec.md

export type Plain =
  null | boolean | number | bigint | string | Buffer | Plain[] | Map<Plain, Plain>;

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  value(): Plain {
    const token = this.#uint(1);
    if (token <= 0x7f) return token;
    if (token <= 0x8f) return this.#map(token & 0x0f);
    if (token <= 0x9f) return this.#array(token & 0x0f);
    if (token <= 0xbf) return this.#take(token & 0x1f).toString();
    if (token >= 0xe0) return token - 0x100;
    return this.#long(token);
  }

  #long(token: number): Plain {
    switch (token) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#take(this.#uint(2 ** (token - 0xc4)));
      case 0xca:
        return this.#take(4).readFloatBE();
      case 0xcb:
        return this.#take(8).readDoubleBE();
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.#uint(2 ** (token - 0xcc));
      case 0xcf:
        return this.#take(8).readBigUInt64BE();
      case 0xd0:
      case 0xd1:
      case 0xd2: {
        const length = 2 ** (token - 0xd0);
        return this.#take(length).readIntBE(0, length);
      }
      case 0xd3:
        return this.#take(8).readBigInt64BE();
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#take(this.#uint(2 ** (token - 0xd9))).toString();
      case 0xdc:
      case 0xdd:
        return this.#array(this.#uint(2 ** (token - 0xdb)));
      case 0xde:
      case 0xdf:
        return this.#map(this.#uint(2 ** (token - 0xdd)));
      default:
        throw new Error(`extension or unused token 0x${token.toString(16)}`);
    }
  }

  #array(length: number): Plain[] {
    return Array.from({ length }, () => this.value());
  }

  #map(length: number): Map<Plain, Plain> {
    const map = new Map<Plain, Plain>();
    for (let entry = 0; entry < length; entry++) {
      const name = this.value();
      map.set(name, this.value());
    }
    return map;
  }

  #uint(length: number): number {
    return this.#take(length).readUIntBE(0, length);
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new Error("the bytes end too early");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

/** The one value that the bytes hold. Throws where they hold anything else, or an extension. */
export function readPlain(bytes: Buffer): Plain {
  const reader = new Reader(bytes);
  const value = reader.value();
  if (!reader.done) throw new Error("bytes are left over");
  return value;
}
