/**
 * From the coefficients of a JPEG to pixels, with the integers of libjpeg-turbo: its fast
 * inverse cosine transform, smooth upsampling and colours.
 */

// Factors of Arai, Agui and Nakajima, multiplied along rows and columns, times 2^14.
const AAN = [1, 1.387039845, 1.306562965, 1.175875602, 1, 0.785694958, 0.541196100, 0.275899379];

/** Upright RGBA of a frame that jpeg.js has read. */
export function uprightPixels(image) {
  const planes = image.components.map((component) => plane(component));
  const rows = image.components.map((component, i) => rowsOf(component, planes[i], image));
  const convert = conversion(image);
  const { width, height, orientation } = image;
  const isTurned = orientation >= 5;
  const pixels = new Uint8Array(width * height * 4).fill(255);
  const [outWidth, outHeight] = isTurned ? [height, width] : [width, height];
  const [start, across, down] = steps(orientation, width, height);
  for (let y = 0; y < height; y++) {
    const samples = rows.map((row) => row(y));
    let at = 4 * (start + y * down);
    for (let x = 0; x < width; x++, at += 4 * across) convert(samples, x, pixels, at);
  }
  return { width: outWidth, height: outHeight, pixels };
}

/** Where the first pixel goes, and how far it is to the next across and down. */
function steps(orientation, width, height) {
  const [w, h] = [width - 1, height - 1];
  return {
    1: [0, 1, width], 2: [w, -1, width], 3: [h * width + w, -1, -width],
    4: [h * width, 1, -width], 5: [0, height, 1], 6: [h, height, -1],
    7: [w * height + h, -height, -1], 8: [w * height, -height, 1],
  }[orientation];
}

/** Samples of a component, in rows of whole blocks. */
function plane({ coefficients, quantization, across, down }) {
  const factors = quantization.map((value, i) => {
    const scale = Math.round(AAN[i >> 3] * AAN[i & 7] * 16384);
    return (value * scale + (1 << 11)) >> 12;
  });
  const stride = across * 8;
  const samples = new Uint8ClampedArray(stride * down * 8);
  const work = new Int32Array(64);
  for (let block = 0; block < across * down; block++) {
    const [row, column] = [Math.floor(block / across), block % across];
    transform(coefficients, block * 64, factors, work, samples, row * 8 * stride + column * 8, stride);
  }
  return { samples, stride };
}

/** The inverse transform of jidctfst.c: columns, then rows. */
function transform(coefficients, from, factors, work, samples, to, stride) {
  for (let i = 0; i < 64; i++) work[i] = coefficients[from + i] * factors[i];
  for (let column = 0; column < 8; column++) butterfly(work, column, 8);
  for (let row = 0; row < 8; row++) {
    butterfly(work, row * 8, 1);
    for (let i = 0; i < 8; i++) samples[to + row * stride + i] = (work[row * 8 + i] >> 5) + 128;
  }
}

function butterfly(x, at, step) {
  const [i1, i2, i3, i4] = [at + step, at + 2 * step, at + 3 * step, at + 4 * step];
  const [i5, i6, i7] = [at + 5 * step, at + 6 * step, at + 7 * step];
  const sum04 = x[at] + x[i4];
  const difference04 = x[at] - x[i4];
  const sum26 = x[i2] + x[i6];
  const even = (((x[i2] - x[i6]) * 362) >> 8) - sum26;
  const e0 = sum04 + sum26;
  const e3 = sum04 - sum26;
  const e1 = difference04 + even;
  const e2 = difference04 - even;
  const z13 = x[i5] + x[i3];
  const z10 = x[i5] - x[i3];
  const z11 = x[i1] + x[i7];
  const z12 = x[i1] - x[i7];
  const z5 = ((z10 + z12) * 473) >> 8;
  const o7 = z11 + z13;
  const o6 = ((z10 * -669) >> 8) + z5 - o7;
  const o5 = (((z11 - z13) * 362) >> 8) - o6;
  const o4 = ((z12 * 277) >> 8) - z5 + o5;
  x[at] = e0 + o7;
  x[i7] = e0 - o7;
  x[i1] = e1 + o6;
  x[i6] = e1 - o6;
  x[i2] = e2 + o5;
  x[i5] = e2 - o5;
  x[i4] = e3 + o4;
  x[i3] = e3 - o4;
}

/** A function from an image row to the component's samples there, at full width. */
function rowsOf({ h, v, width, height }, { samples, stride }, image) {
  const [wide, high] = [image.hMax / h, image.vMax / v];
  const row = (y) => {
    const inside = Math.min(Math.max(y, 0), height - 1);
    return samples.subarray(inside * stride, inside * stride + width);
  };
  const line = new Uint8Array((width + 1) * Math.ceil(wide));
  if (wide === 1 && high === 1) return row;
  if (wide === 2 && high === 1 && width > 2) return (y) => widened(row(y), line);
  // The nearer row has weight 3, the next one weight 1.
  const next = (y) => row((y >> 1) + (y & 1 ? 1 : -1));
  if (wide === 1 && high === 2) {
    return (y) => {
      const [near, far, bias] = [row(y >> 1), next(y), y & 1 ? 2 : 1];
      for (let x = 0; x < width; x++) line[x] = (3 * near[x] + far[x] + bias) >> 2;
      return line;
    };
  }
  const sums = new Int32Array(width);
  if (wide === 2 && high === 2 && width > 2) {
    return (y) => {
      const [near, far] = [row(y >> 1), next(y)];
      for (let x = 0; x < width; x++) sums[x] = 3 * near[x] + far[x];
      return widenedSums(sums, line);
    };
  }
  return (y) => {
    const near = row(Math.floor(y / high));
    for (let x = 0; x < image.width; x++) line[x] = near[Math.floor(x / wide)];
    return line;
  };
}

function widened(near, line) {
  const last = near.length - 1;
  for (let x = 0; x <= last; x++) {
    line[2 * x] = x === 0 ? near[0] : (3 * near[x] + near[x - 1] + 1) >> 2;
    line[2 * x + 1] = x === last ? near[x] : (3 * near[x] + near[x + 1] + 2) >> 2;
  }
  return line;
}

function widenedSums(sums, line) {
  const last = sums.length - 1;
  for (let x = 0; x <= last; x++) {
    const before = x === 0 ? sums[0] : sums[x - 1];
    const after = x === last ? sums[last] : sums[x + 1];
    line[2 * x] = (3 * sums[x] + before + 8) >> 4;
    line[2 * x + 1] = (3 * sums[x] + after + 7) >> 4;
  }
  return line;
}

/** A function that writes the colour of column x of some rows of samples. */
function conversion({ components, isJfif, adobe }) {
  if (components.length === 1) {
    return ([gray], x, pixels, at) => {
      pixels[at] = pixels[at + 1] = pixels[at + 2] = gray[x];
    };
  }
  const ids = String.fromCharCode(...components.map((x) => x.id));
  if (components.length === 3) {
    const isRgb = !isJfif && (adobe === null ? ids === "RGB" : adobe === 0);
    return isRgb ? copied : fromYcc;
  }
  const toInks = adobe === 2 ? fromYcc : copied;
  return (samples, x, pixels, at) => {
    toInks(samples, x, pixels, at);
    const black = samples[3][x];
    for (let i = at; i < at + 3; i++) {
      const ink = adobe === 2 ? 255 - pixels[i] : pixels[i];
      // Adobe writes inks inverted.
      const share = adobe === null ? (255 - ink) * (255 - black) : ink * black;
      pixels[i] = Math.floor(share / 255);
    }
  };
}

function copied([first, second, third], x, pixels, at) {
  pixels[at] = first[x];
  pixels[at + 1] = second[x];
  pixels[at + 2] = third[x];
}

function fromYcc([ys, cbs, crs], x, pixels, at) {
  const y = ys[x];
  const cb = cbs[x] - 128;
  const cr = crs[x] - 128;
  pixels[at] = clamp(y + ((91881 * cr + 32768) >> 16));
  pixels[at + 1] = clamp(y + ((-22554 * cb - 46802 * cr + 32768) >> 16));
  pixels[at + 2] = clamp(y + ((116130 * cb + 32768) >> 16));
}

function clamp(value) {
  return value < 0 ? 0 : value > 255 ? 255 : value;
}
