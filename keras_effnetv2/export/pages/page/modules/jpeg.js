/**
 * JPEGs with the arithmetic of TensorFlow's decoder, libjpeg-turbo with its fast cosine
 * transform, on which this package trains and measures networks. Each browser decodes a
 * little differently, which would change scores.
 *
 * ITU-T T.81: baseline and progressive, Huffman, 8 bits. Variables have its names.
 */
import { uprightPixels } from "./jpeg_pixels.js";

const ZIGZAG = [
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48,
  41, 34, 27, 20, 13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15,
  23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];
// Bits of Huffman codes that one look-up resolves.
const LOOKUP = 9;

/**
 * Decodes an image.
 *
 * @param {Uint8Array} bytes a file's content.
 * @returns {{width: number, height: number, pixels: Uint8Array}|null} upright RGBA; null
 *   if the file is damaged, or of a kind that only a browser may know.
 */
export function decodeJpeg(bytes) {
  try {
    return uprightPixels(new Reader(bytes).read());
  } catch (error) {
    if (error instanceof Unreadable || error instanceof RangeError) return null;
    throw error;
  }
}

class Unreadable extends Error {}

function require(isTrue) {
  if (!isTrue) throw new Unreadable();
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.tables = { quantization: [], dc: [], ac: [] };
    this.image = { orientation: 1, isJfif: false, adobe: null, components: null };
    this.restartInterval = 0;
    this.hasExif = false;
  }

  /** The frame with its coefficients. */
  read() {
    const { view } = this;
    require(view.getUint16(0) === 0xffd8);
    let at = 2;
    for (;;) {
      while (view.getUint8(at) !== 0xff) at++;
      while (view.getUint8(at) === 0xff) at++;
      const marker = view.getUint8(at++);
      if (marker === 0xd9) break;
      if (marker === 0 || marker === 1 || (marker >= 0xd0 && marker <= 0xd7)) continue;
      const end = at + view.getUint16(at);
      require(end <= view.byteLength);
      at = this.#segment(marker, at + 2, end);
    }
    require(this.image.components !== null);
    return this.image;
  }

  #segment(marker, at, end) {
    if (marker === 0xdb) this.#quantization(at, end);
    else if (marker === 0xc4) this.#huffman(at, end);
    else if (marker === 0xdd) this.restartInterval = this.view.getUint16(at);
    else if (marker === 0xda) return this.#scan(at, end);
    else if (marker >= 0xc0 && marker <= 0xcf) this.#frame(marker, at);
    else if (marker >= 0xe0 && marker <= 0xee) this.#application(marker, at, end);
    return end;
  }

  #application(marker, at, end) {
    const starts = (text) =>
      [...text].every((x, i) => this.view.getUint8(at + i) === x.charCodeAt(0));
    if (marker === 0xe0 && starts("JFIF\0")) this.image.isJfif = true;
    if (marker === 0xee && starts("Adobe")) this.image.adobe = this.view.getUint8(at + 11);
    if (marker === 0xe1 && starts("Exif\0\0") && !this.hasExif) {
      this.hasExif = true;
      const block = new DataView(this.view.buffer, this.view.byteOffset + at + 6, end - at - 6);
      this.image.orientation = orientationIn(block);
    }
  }

  #quantization(at, end) {
    while (at < end) {
      const [precision, id] = nibbles(this.view.getUint8(at++));
      const table = new Int32Array(64);
      for (const place of ZIGZAG) {
        table[place] = precision ? this.view.getUint16(at) : this.view.getUint8(at);
        at += precision ? 2 : 1;
      }
      this.tables.quantization[id] = table;
    }
  }

  #huffman(at, end) {
    while (at < end) {
      const [kind, id] = nibbles(this.view.getUint8(at++));
      const counts = this.bytes.subarray(at, at + 16);
      const total = counts.reduce((x, y) => x + y, 0);
      const symbols = this.bytes.subarray(at + 16, at + 16 + total);
      this.tables[kind ? "ac" : "dc"][id] = new HuffmanTable(counts, symbols);
      at += 16 + total;
    }
  }

  #frame(marker, at) {
    const { view, image } = this;
    require(marker <= 0xc2 && image.components === null && view.getUint8(at) === 8);
    image.isProgressive = marker === 0xc2;
    image.height = view.getUint16(at + 1);
    image.width = view.getUint16(at + 3);
    require(image.width > 0 && image.height > 0);
    const count = view.getUint8(at + 5);
    require([1, 3, 4].includes(count));
    image.components = Array.from({ length: count }, (_, i) => {
      const place = at + 6 + 3 * i;
      const [h, v] = nibbles(view.getUint8(place + 1));
      require(h >= 1 && h <= 4 && v >= 1 && v <= 4);
      return { id: view.getUint8(place), h, v, tq: view.getUint8(place + 2) };
    });
    const { components } = image;
    image.hMax = Math.max(...components.map((x) => x.h));
    image.vMax = Math.max(...components.map((x) => x.v));
    image.mcusAcross = Math.ceil(image.width / (8 * image.hMax));
    image.mcusDown = Math.ceil(image.height / (8 * image.vMax));
    for (const component of components) {
      component.width = Math.ceil((image.width * component.h) / image.hMax);
      component.height = Math.ceil((image.height * component.v) / image.vMax);
      component.across = image.mcusAcross * component.h;
      component.down = image.mcusDown * component.v;
      component.coefficients = new Int16Array(component.across * component.down * 64);
    }
  }

  #scan(at, end) {
    const { view, image } = this;
    require(image.components !== null);
    const count = view.getUint8(at++);
    const components = Array.from({ length: count }, () => {
      const component = image.components.find((x) => x.id === view.getUint8(at));
      require(component);
      const [dc, ac] = nibbles(view.getUint8(at + 1));
      at += 2;
      component.dc = this.tables.dc[dc];
      component.ac = this.tables.ac[ac];
      // The tables of its first scan count: later ones may replace them.
      component.quantization ??= this.tables.quantization[component.tq];
      require(component.quantization);
      return component;
    });
    const [first, last] = [view.getUint8(at), view.getUint8(at + 1)];
    const [high, low] = nibbles(view.getUint8(at + 2));
    require(first <= last && last < 64);
    const bits = new Bits(this.bytes, end);
    const scan = new Scan(bits, { first, last, high, low }, image.isProgressive);
    scan.run(image, components, this.restartInterval);
    return bits.at;
  }
}

/** The entropy-coded bits from an offset on. */
class Bits {
  constructor(bytes, at) {
    this.bytes = bytes;
    this.at = at;
    this.restart();
  }

  restart() {
    this.buffer = 0;
    this.count = 0;
  }

  /** Buffers at least 16 bits; zeros after the end, as in libjpeg. */
  fill() {
    while (this.count <= 16) {
      let byte = 0;
      if (this.at < this.bytes.length) {
        byte = this.bytes[this.at];
        if (byte !== 0xff) this.at++;
        else if (this.bytes[this.at + 1] === 0) this.at += 2;
        else byte = 0; // A marker: the bits end here.
      } else {
        throw new Unreadable(); // The file is cut off.
      }
      this.buffer = ((this.buffer << 8) | byte) & 0xffffff;
      this.count += 8;
    }
  }

  take(count) {
    if (count === 0) return 0;
    if (this.count < count) this.fill();
    this.count -= count;
    return (this.buffer >> this.count) & ((1 << count) - 1);
  }

  /** A number of `count` bits; the lower half of its range is negative. */
  signed(count) {
    const value = this.take(count);
    return count > 0 && value < 1 << (count - 1) ? value - (1 << count) + 1 : value;
  }

  /** Skips a restart marker. */
  skipMarker() {
    this.restart();
    const { bytes } = this;
    require(bytes[this.at] === 0xff && (bytes[this.at + 1] & 0xf8) === 0xd0);
    this.at += 2;
  }
}

class HuffmanTable {
  constructor(counts, symbols) {
    this.symbols = symbols;
    this.lookup = new Int16Array(1 << LOOKUP).fill(-1);
    this.largest = new Int32Array(17).fill(-1); // Code of a length.
    this.offset = new Int32Array(17);
    let code = 0;
    let index = 0;
    for (let length = 1; length <= 16; length++, code <<= 1) {
      this.offset[length] = index - code;
      for (let i = 0; i < counts[length - 1]; i++, code++, index++) {
        if (length > LOOKUP) continue;
        const first = code << (LOOKUP - length);
        this.lookup.fill((length << 8) | symbols[index], first, first + (1 << (LOOKUP - length)));
      }
      if (counts[length - 1]) this.largest[length] = code - 1;
    }
  }

  next(bits) {
    if (bits.count < 16) bits.fill();
    const found = this.lookup[(bits.buffer >> (bits.count - LOOKUP)) & ((1 << LOOKUP) - 1)];
    if (found >= 0) {
      bits.count -= found >> 8;
      return found & 0xff;
    }
    for (let length = LOOKUP + 1; length <= 16; length++) {
      const code = (bits.buffer >> (bits.count - length)) & ((1 << length) - 1);
      if (code <= this.largest[length]) {
        bits.count -= length;
        return this.symbols[code + this.offset[length]];
      }
    }
    throw new Unreadable();
  }
}

/** One scan: its components, coefficients and their coding. */
class Scan {
  constructor(bits, { first, last, high, low }, isProgressive) {
    Object.assign(this, { bits, first, last, low });
    this.endOfBand = 0;
    this.block = !isProgressive ? this.#baseline
      : first === 0 ? (high ? this.#dcRefined : this.#dcFirst)
      : high ? this.#acRefined : this.#acFirst;
  }

  run(image, components, restartInterval) {
    for (const component of components) component.predicted = 0;
    let mcu = 0;
    const begin = () => {
      if (restartInterval && mcu && mcu % restartInterval === 0) {
        this.bits.skipMarker();
        this.endOfBand = 0;
        for (const component of components) component.predicted = 0;
      }
      mcu++;
    };
    if (components.length === 1) this.#alone(components[0], begin);
    else this.#interleaved(image, components, begin);
  }

  #alone(component, begin) {
    const across = Math.ceil(component.width / 8);
    const down = Math.ceil(component.height / 8);
    for (let row = 0; row < down; row++) {
      for (let column = 0; column < across; column++) {
        begin();
        this.#decode(component, row, column);
      }
    }
  }

  #interleaved({ mcusAcross, mcusDown }, components, begin) {
    for (let mcu = 0; mcu < mcusAcross * mcusDown; mcu++) {
      begin();
      const [down, across] = [Math.floor(mcu / mcusAcross), mcu % mcusAcross];
      for (const component of components) {
        const { h, v } = component;
        for (let y = 0; y < v; y++) {
          for (let x = 0; x < h; x++) this.#decode(component, down * v + y, across * h + x);
        }
      }
    }
  }

  #decode(component, row, column) {
    const offset = (row * component.across + column) * 64;
    this.block(component, component.coefficients, offset);
  }

  #baseline(component, coefficients, offset) {
    const { bits } = this;
    component.predicted += bits.signed(component.dc.next(bits));
    coefficients[offset] = component.predicted;
    for (let k = 1; k < 64; k++) {
      const symbol = component.ac.next(bits);
      const size = symbol & 15;
      if (size === 0) {
        if (symbol !== 0xf0) return;
        k += 15;
        continue;
      }
      k += symbol >> 4;
      coefficients[offset + ZIGZAG[k]] = bits.signed(size);
    }
  }

  #dcFirst(component, coefficients, offset) {
    const { bits } = this;
    component.predicted += bits.signed(component.dc.next(bits));
    coefficients[offset] = component.predicted << this.low;
  }

  #dcRefined(_, coefficients, offset) {
    coefficients[offset] |= this.bits.take(1) << this.low;
  }

  #acFirst(component, coefficients, offset) {
    if (this.endOfBand > 0) {
      this.endOfBand--;
      return;
    }
    const { bits } = this;
    for (let k = this.first; k <= this.last; k++) {
      const symbol = component.ac.next(bits);
      const [run, size] = [symbol >> 4, symbol & 15];
      if (size === 0 && run < 15) {
        this.endOfBand = (1 << run) - 1 + bits.take(run);
        return;
      }
      k += run;
      if (size > 0) coefficients[offset + ZIGZAG[k]] = bits.signed(size) * (1 << this.low);
    }
  }

  #acRefined(component, coefficients, offset) {
    const { bits } = this;
    const step = 1 << this.low;
    let k = this.first;
    if (this.endOfBand === 0) {
      for (; k <= this.last; k++) {
        const symbol = component.ac.next(bits);
        let run = symbol >> 4;
        let value = 0;
        if ((symbol & 15) === 1) value = bits.take(1) ? step : -step;
        else if (run < 15) {
          this.endOfBand = (1 << run) + bits.take(run);
          break;
        }
        for (; k <= this.last; k++) {
          const place = offset + ZIGZAG[k];
          if (coefficients[place] !== 0) this.#refine(coefficients, place, step);
          else if (run-- === 0) {
            coefficients[place] = value;
            break;
          }
        }
      }
    }
    if (this.endOfBand > 0) {
      for (; k <= this.last; k++) {
        const place = offset + ZIGZAG[k];
        if (coefficients[place] !== 0) this.#refine(coefficients, place, step);
      }
      this.endOfBand--;
    }
  }

  #refine(coefficients, place, step) {
    if (!this.bits.take(1) || (coefficients[place] & step) !== 0) return;
    coefficients[place] += coefficients[place] > 0 ? step : -step;
  }
}

/** The orientation in EXIF data, 1 to 8: as in keras_effnetv2/data/decoding. */
function orientationIn(block) {
  try {
    const order = block.getUint16(0);
    if (order !== 0x4949 && order !== 0x4d4d) return 1;
    const little = order === 0x4949;
    const directory = block.getUint32(4, little);
    const count = block.getUint16(directory, little);
    for (let i = 0; i < count; i++) {
      const at = directory + 2 + 12 * i;
      const isOrientation =
        block.getUint16(at, little) === 0x112 &&
        block.getUint16(at + 2, little) === 3 &&
        block.getUint32(at + 4, little) === 1;
      if (!isOrientation) continue;
      const value = block.getUint16(at + 8, little);
      return value >= 1 && value <= 8 ? value : 1;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return 1;
}

function nibbles(byte) {
  return [byte >> 4, byte & 15];
}
