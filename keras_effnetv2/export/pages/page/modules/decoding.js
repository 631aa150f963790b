/**
 * Image files as upright pixels, without transparency or colour profiles, as in training.
 */
import { UserError } from "./errors.js";
import { decodeJpeg } from "./jpeg.js";

export const MAX_PIXELS = 64e6;
// Larger JPEGs are left to the browser: decoding them here exceeds a phone's memory.
const MAX_EXACT_PIXELS = 26e6;
const MAX_BYTES = 128e6;
// Enough to find the image's size behind a camera's thumbnail.
const HEAD_BYTES = 1 << 19;
const THUMBNAIL = 320;

/**
 * Opens an image; call its `close` after reading.
 *
 * @param {Blob} blob a file or a camera picture.
 * @returns {Promise<Pixels|Bitmap>}
 */
export async function open(blob) {
  if (blob.size === 0) throw new UserError("The file is empty.");
  if (blob.size > MAX_BYTES) {
    throw new UserError(
      `The file has ${megabytes(blob.size)} MB; up to ${megabytes(MAX_BYTES)} are read.`
    );
  }
  const head = new DataView(await blob.slice(0, HEAD_BYTES).arrayBuffer());
  const size = sizeInHeader(head);
  if (size) refuseLarge(...size);
  if (isJpeg(head) && size && size[0] * size[1] <= MAX_EXACT_PIXELS) {
    const decoded = decodeJpeg(new Uint8Array(await blob.arrayBuffer()));
    if (decoded !== null) return new Pixels(decoded);
  }
  const bitmap = await decodedByBrowser(blob, head);
  try {
    refuseLarge(bitmap.width, bitmap.height);
    return new Bitmap(bitmap);
  } catch (error) {
    bitmap.close();
    throw error;
  }
}

async function decodedByBrowser(blob, head) {
  try {
    return await createImageBitmap(blob, {
      imageOrientation: "from-image",
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
    });
  } catch {
    const isPdf = text(head, 0, 5) === "%PDF-";
    const kind = isPdf ? "This is a PDF" : "The browser cannot read this as an image";
    throw new UserError(`${kind}. JPEG, PNG, WebP, GIF and BMP work.`);
  }
}

/** A decoded image as opaque RGBA: `width`, `height`, and readers of its pixels. */
class Pixels {
  constructor({ width, height, pixels }) {
    Object.assign(this, { width, height, pixels });
  }

  /** A function of (y, height): RGBA of some rows of a window of the image. */
  reader(window) {
    return (y, height) => {
      const rows = new Uint8Array(window.width * height * 4);
      for (let i = 0; i < height; i++) {
        const start = ((window.y + y + i) * this.width + window.x) * 4;
        const row = this.pixels.subarray(start, start + window.width * 4);
        rows.set(row, i * window.width * 4);
      }
      return rows;
    };
  }

  /** A small picture for the gallery. */
  async thumbnail() {
    const { buffer } = this.pixels;
    const data = new ImageData(new Uint8ClampedArray(buffer), this.width, this.height);
    const bitmap = await createImageBitmap(data);
    try {
      return await shrunk(bitmap);
    } finally {
      bitmap.close();
    }
  }

  close() {}
}

/** The same for an image that the browser has decoded. */
class Bitmap {
  constructor(bitmap) {
    this.bitmap = bitmap;
    this.width = bitmap.width;
    this.height = bitmap.height;
  }

  /** A function of (y, height): RGBA of some rows of a window of the image. */
  reader(window) {
    const canvas = new OffscreenCanvas(window.width, 1);
    const options = { willReadFrequently: true, colorSpace: "srgb" };
    let context = null;
    return (y, height) => {
      if (context === null || canvas.height < height) {
        canvas.height = height;
        context = canvas.getContext("2d", options);
        context.globalCompositeOperation = "copy";
        context.imageSmoothingEnabled = false;
      }
      const { width } = window;
      const top = window.y + y;
      context.drawImage(
        this.bitmap, window.x, top, width, height, 0, 0, width, height
      );
      const pixels = context.getImageData(0, 0, width, height).data;
      // Canvases multiply colours by alpha, and so lose those of transparent pixels.
      return isOpaque(pixels) ? pixels : this.#straight(window.x, top, width, height);
    };
  }

  /** RGBA of a window, with colours as stored in the file. */
  #straight(x, y, width, height) {
    this.straight ??= new StraightReader(this.bitmap);
    return this.straight.read(x, y, width, height);
  }

  thumbnail() {
    return shrunk(this.bitmap);
  }

  close() {
    this.straight?.close();
    this.bitmap.close();
  }
}

/** Reads an image with alpha through a texture, which keeps transparent pixels' colours. */
class StraightReader {
  constructor(bitmap) {
    const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
    const largest = gl?.getParameter(gl.MAX_TEXTURE_SIZE) ?? 0;
    if (Math.max(bitmap.width, bitmap.height) > largest) {
      throw new UserError(
        "This browser cannot read transparent images of this size without WebGL."
      );
    }
    this.gl = gl;
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
    gl.framebufferTexture2D(
      gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D,
      gl.getParameter(gl.TEXTURE_BINDING_2D), 0
    );
  }

  read(x, y, width, height) {
    const pixels = new Uint8Array(width * height * 4);
    this.gl.readPixels(x, y, width, height, this.gl.RGBA, this.gl.UNSIGNED_BYTE, pixels);
    return pixels;
  }

  close() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

function shrunk(bitmap) {
  const scale = Math.min(1, THUMBNAIL / Math.max(bitmap.width, bitmap.height));
  const canvas = new OffscreenCanvas(
    Math.max(1, Math.round(bitmap.width * scale)),
    Math.max(1, Math.round(bitmap.height * scale))
  );
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/webp", quality: 0.8 });
}

function isOpaque(pixels) {
  for (let i = 3; i < pixels.length; i += 4) {
    if (pixels[i] !== 255) return false;
  }
  return true;
}

function refuseLarge(width, height) {
  if (width * height > MAX_PIXELS) {
    throw new UserError(
      `The image has ${width} x ${height} pixels; up to ${MAX_PIXELS / 1e6} ` +
      "megapixels are read."
    );
  }
}

function isJpeg(head) {
  return head.byteLength > 2 && head.getUint16(0) === 0xffd8;
}

/** Width and height from a file's first bytes, before decoding; null if unknown. */
export function sizeInHeader(head) {
  try {
    if (text(head, 1, 3) === "PNG") return [head.getUint32(16), head.getUint32(20)];
    if (text(head, 0, 3) === "GIF") {
      return [head.getUint16(6, true), head.getUint16(8, true)];
    }
    if (text(head, 0, 2) === "BM") {
      return [head.getInt32(18, true), Math.abs(head.getInt32(22, true))];
    }
    if (text(head, 8, 4) === "WEBP") return webpSize(head);
    return isJpeg(head) ? jpegSize(head) : null;
  } catch (error) {
    if (error instanceof RangeError) return null; // The file ends too early.
    throw error;
  }
}

function webpSize(head) {
  const uint24 = (at) => head.getUint16(at, true) | (head.getUint8(at + 2) << 16);
  const kind = text(head, 12, 4);
  if (kind === "VP8X") return [uint24(24) + 1, uint24(27) + 1];
  if (kind === "VP8L") {
    const bits = head.getUint32(21, true);
    return [(bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1];
  }
  return [head.getUint16(26, true) & 0x3fff, head.getUint16(28, true) & 0x3fff];
}

function jpegSize(head) {
  let at = 2;
  while (at + 9 < head.byteLength) {
    const marker = head.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return [head.getUint16(at + 7), head.getUint16(at + 5)];
    at += 2 + head.getUint16(at + 2);
  }
  return null;
}

function text(head, start, length) {
  const codes = Array.from({ length }, (_, i) =>
    start + i < head.byteLength ? head.getUint8(start + i) : 0
  );
  return String.fromCharCode(...codes);
}

function megabytes(bytes) {
  return Math.round(bytes / 1e6);
}
