/**
 * Crops and resizes an image as model.json records for evaluation, with the same results
 * as keras_effnetv2/data/decoding.
 */
import {
  bilinearTaps, cornerBicubicTaps, resample, roundHalfEven, smoothTaps,
} from "./resampling.js";

const CROP_MARGIN = 32;
const CROP_LIMIT = 320;
// Length by width to which images are cut before they are resized for a central crop.
const LONGEST = 32;

/**
 * The network's input for an image.
 *
 * @param {{width: number, height: number, reader: function}} image see decoding.js.
 * @param {object} record `preprocessing` of model.json.
 * @returns {Float32Array} (size, size, 3), pixels 0 to 255.
 */
export function evaluationPixels(image, record) {
  if (record.crop_pct !== null) return pillowStyle(image, record);
  const size = record.image_size;
  const window = cropWindow(image.width, image.height, record);
  const tapsOf = record.interpolation === "bilinear" ? bilinearTaps : cornerBicubicTaps;
  const columns = tapsOf(window.width, size);
  const rows = tapsOf(window.height, size);
  return resample(image.reader(window), window.width, columns, rows, false);
}

/** Left, top, width and height of the part to resize, in pixels of the image. */
export function cropWindow(width, height, record) {
  const size = record.image_size;
  const isCentral =
    record.crop === "center" ||
    (record.crop === "center_below_320" && size < CROP_LIMIT);
  if (!isCentral) return { x: 0, y: 0, width, height };
  const share = Math.fround(size / (size + CROP_MARGIN));
  const side = Math.max(1, Math.trunc(Math.fround(share * Math.min(width, height))));
  const up = record.crop === "center" ? 1 : 0;
  const start = (length) => Math.floor((length - side + up) / 2);
  return { x: start(width), y: start(height), width: side, height: side };
}

/** Like timm and torchvision: resizes the image, then crops it or adds a border. */
function pillowStyle(image, record) {
  const size = record.image_size;
  const seen = withoutEnds(image.width, image.height, record);
  const [height, width] = scaledSides(seen.height, seen.width, record);
  const across = placed(smoothTaps(seen.width, width, record.interpolation), size);
  const down = placed(smoothTaps(seen.height, height, record.interpolation), size);
  const part = resample(image.reader(seen), seen.width, across.taps, down.taps, true);
  return bordered(part, across, down, record);
}

/** The part of an image that is resized; a central crop needs no ends of long ones. */
function withoutEnds(width, height, record) {
  const most = record.crop === "center" ? LONGEST * Math.min(width, height) : Infinity;
  const cut = (length) => Math.floor(Math.max(length - most, 0) / 2);
  const [x, y] = [cut(width), cut(height)];
  return { x, y, width: width - 2 * x, height: height - 2 * y };
}

function scaledSides(height, width, record) {
  const scaled = Math.floor(record.image_size / record.crop_pct);
  const sides = [height, width];
  if (record.crop === "squash") return [scaled, scaled];
  if (record.crop === "center") {
    const short = Math.min(...sides);
    return sides.map((x) => Math.max(Math.floor((scaled * x) / short), scaled));
  }
  const ratio = Math.max(...sides) / scaled;
  return sides.map((x) => Math.max(roundHalfEven(x / ratio), 1));
}

/** The part of one axis inside the crop, and where it starts there. */
function placed(taps, size) {
  const offset = roundHalfEven(Math.max(taps.length - size, 0) / 2);
  const before = Math.floor(Math.max(size - taps.length, 0) / 2);
  return { taps: taps.slice(offset, offset + size), before };
}

function bordered(part, across, down, record) {
  const size = record.image_size;
  const width = across.taps.length;
  if (width === size && down.taps.length === size) return part;
  const result = new Float32Array(size * size * 3);
  for (let i = 0; i < result.length; i++) {
    result[i] = roundHalfEven(record.mean[i % record.mean.length]);
  }
  for (let y = 0; y < down.taps.length; y++) {
    const row = part.subarray(y * width * 3, (y + 1) * width * 3);
    result.set(row, ((y + down.before) * size + across.before) * 3);
  }
  return result;
}
