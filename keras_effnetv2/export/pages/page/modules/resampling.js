/**
 * Resizes images as TensorFlow's and Pillow's code does.
 *
 * A row or column of the result is a weighted sum of rows or columns of the image: its
 * taps, {first, weights}. Functions return the list of all.
 */

// Keys' kernel with A = -0.75, tabulated in this many steps by TensorFlow 1.
const STEPS = 1024;
const A = -0.75;
const f32 = Math.fround;

/** Two neighbours, sampled at pixel centres, as `tf.image.resize` does. */
export function bilinearTaps(from, to) {
  const scale = f32(from / to);
  return taps(to, (i) => {
    const place = f32(f32((i + 0.5) * scale) - 0.5);
    const low = Math.floor(place);
    const share = place - low;
    return clamped([[low, 1 - share], [low + 1, share]], from);
  });
}

/** Four neighbours, sampled at pixel corners, as `ResizeBicubic` of TensorFlow 1 does. */
export function cornerBicubicTaps(from, to) {
  const scale = f32(from / to);
  return taps(to, (i) => {
    const place = f32(i * scale);
    const low = Math.floor(place);
    const share = roundHalfEven((place - low) * STEPS) / STEPS;
    const pairs = [
      [low - 1, far(share + 1)], [low, near(share)],
      [low + 1, near(1 - share)], [low + 2, far(2 - share)],
    ];
    return clamped(pairs, from);
  });
}

/**
 * All pixels under a kernel that widens as images shrink, as in Pillow.
 *
 * In float32 and the order of `tf.image.resize(antialias=True)`: many sums lie halfway
 * between two levels, and the last bit decides.
 */
export function smoothTaps(from, to, interpolation) {
  const [kernel, radius] = KERNELS[interpolation];
  const scale = f32(1 / f32(to / from));
  const width = Math.max(scale, 1);
  const share = f32(1 / width);
  return taps(to, (i) => {
    const centre = f32((i + 0.5) * scale);
    const reach = f32(radius * width);
    const first = Math.max(0, Math.ceil(f32(f32(centre - reach) - 0.5)));
    const last = Math.min(from - 1, Math.floor(f32(f32(centre + reach) - 0.5)));
    const pairs = [];
    let sum = 0;
    for (let j = first; j <= last; j++) {
      const weight = f32(kernel(f32(Math.abs(f32(j + 0.5 - centre)) * share)));
      sum = f32(sum + weight);
      pairs.push([j, weight]);
    }
    const inverse = f32(1 / sum);
    return pairs.map(([j, weight]) => [j, f32(weight * inverse)]);
  });
}

/** Rounds, with halves to even numbers, as Python and TensorFlow do. */
export function roundHalfEven(x) {
  const low = Math.floor(x);
  const rest = x - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low;
}

/**
 * Resizes a source's pixels: first along rows, then along columns.
 *
 * @param {(y: number, height: number) => Uint8ClampedArray} read RGBA of some rows.
 * @param {number} width pixels per row read.
 * @param {object[]} columns taps of each column of the result.
 * @param {object[]} rows taps of each row.
 * @param {boolean} levels whether each pass rounds to whole numbers 0 to 255.
 * @returns {Float32Array} (rows, columns, 3).
 */
export function resample(read, width, columns, rows, levels) {
  const result = new Float32Array(rows.length * columns.length * 3);
  const line = columns.length * 3;
  const narrow = new Map(); // Row of the image -> the row, resized.
  rows.forEach(({ first, weights }, i) => {
    for (const y of narrow.keys()) {
      if (y < first) narrow.delete(y); // Later rows need none above.
    }
    fill(narrow, first, weights.length, read, width, columns, levels);
    const lines = weights.map((_, k) => narrow.get(first + k));
    for (let x = 0; x < line; x++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) {
        sum = f32(sum + f32(weights[k] * lines[k][x]));
      }
      result[i * line + x] = levels ? level(sum) : sum;
    }
  });
  return result;
}

function fill(narrow, first, count, read, width, columns, levels) {
  let y = first;
  while (y < first + count && narrow.has(y)) y++;
  const missing = first + count - y;
  if (missing <= 0) return;
  const pixels = read(y, missing);
  for (let k = 0; k < missing; k++) {
    narrow.set(y + k, narrowed(pixels, k * width * 4, columns, levels));
  }
}

function narrowed(pixels, start, columns, levels) {
  const row = new Float32Array(columns.length * 3);
  columns.forEach(({ first, weights }, x) => {
    let red = 0, green = 0, blue = 0;
    let at = start + first * 4;
    for (const weight of weights) {
      red = f32(red + f32(weight * pixels[at]));
      green = f32(green + f32(weight * pixels[at + 1]));
      blue = f32(blue + f32(weight * pixels[at + 2]));
      at += 4;
    }
    row.set(levels ? [level(red), level(green), level(blue)] : [red, green, blue], x * 3);
  });
  return row;
}

function level(x) {
  return Math.min(Math.max(Math.floor(f32(x + 0.5)), 0), 255);
}

function taps(count, pairsOf) {
  return Array.from({ length: count }, (_, i) => {
    const pairs = pairsOf(i);
    return { first: pairs[0][0], weights: pairs.map(([, weight]) => weight) };
  });
}

/** Adds the weights of neighbours outside to the pixel at the border. */
function clamped(pairs, size) {
  const sums = new Map();
  for (const [index, weight] of pairs) {
    const inside = Math.min(Math.max(index, 0), size - 1);
    sums.set(inside, (sums.get(inside) ?? 0) + weight);
  }
  return [...sums];
}

function near(x) {
  return ((A + 2) * x - (A + 3)) * x * x + 1;
}

function far(x) {
  return ((A * x - 5 * A) * x + 8 * A) * x - 4 * A;
}

function keys(x) {
  const a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

const KERNELS = { bilinear: [(x) => Math.max(0, 1 - x), 1], bicubic: [keys, 2] };
