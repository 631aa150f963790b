/** The model on the browser's fastest engine that computes it correctly. */
import * as litert from "../runtime/litert.js";
import { UserError } from "./errors.js";

const INPUT = "images";
const OUTPUT = "probabilities";
// Largest difference allowed from the exporter's scores of the test pattern.
const TOLERANCE = 0.02;
const MAX_THREADS = 4;

/**
 * Opens the model.
 *
 * @param {object} manifest model.json.
 * @param {Uint8Array} bytes content of the model's file.
 * @param {string} folder URL of the engine's files.
 * @param {string|null} wanted `webgpu`, `threads` or `wasm`: the only engine to try.
 */
export async function openClassifier(manifest, bytes, folder, wanted) {
  if (typeof WebAssembly === "undefined") {
    throw new UserError(
      "This browser has no WebAssembly, or it is turned off, and the network needs it."
    );
  }
  const problems = [];
  for (const kind of await kinds()) {
    if (wanted !== null && kind.name !== wanted) continue;
    try {
      return await start(kind, manifest, bytes, folder);
    } catch (error) {
      problems.push(`${kind.name}: ${error.message}`);
      litert.unloadLiteRt();
    }
  }
  throw new UserError(
    `The network does not run in this browser (${problems.join("; ") || wanted}).`
  );
}

/** Engines that may work here, fastest first. */
async function kinds() {
  const found = [];
  // Without isolation there are no threads, so only this uses more than one processor.
  if (await navigator.gpu?.requestAdapter()) {
    const jspi = "Suspending" in WebAssembly;
    found.push({ name: "webgpu", accelerator: "webgpu", jspi, threads: false });
  }
  if (self.crossOriginIsolated) {
    found.push({ name: "threads", accelerator: "wasm", jspi: false, threads: true });
  }
  found.push({ name: "wasm", accelerator: "wasm", jspi: false, threads: false });
  return found;
}

async function start(kind, manifest, bytes, folder) {
  const { accelerator, jspi, threads } = kind;
  const { liteRtWasm } = await litert.loadLiteRt(folder, { jspi, threads });
  const count = threads ? Math.min(MAX_THREADS, liteRtWasm.getThreadCount()) : 1;
  const model = await litert.loadAndCompile(bytes, {
    accelerator,
    cpuOptions: { numThreads: count },
    gpuOptions: { precision: "fp32" },
  });
  const isOnGpu = model.options.accelerator === "webgpu";
  const title = isOnGpu ? "WebGPU" : `WebAssembly, ${count} thread${count > 1 ? "s" : ""}`;
  const classifier = new Classifier(model, manifest.preprocessing.image_size, title);
  await classifier.check(manifest.probe);
  return classifier;
}

class Classifier {
  constructor(model, size, title) {
    this.model = model;
    this.shape = [1, size, size, 3];
    this.title = title;
  }

  /** Scores of all classes for pixels 0 to 255, (size, size, 3). */
  async scores(pixels) {
    const input = new litert.Tensor(pixels, this.shape);
    let outputs;
    try {
      outputs = await this.model.run({ [INPUT]: input });
      return await outputs[OUTPUT].data();
    } finally {
      for (const tensor of [input, ...Object.values(outputs ?? {})]) tensor.delete();
    }
  }

  /** Compares the test pattern's scores with the exporter's: see sites.py. */
  async check(probe) {
    const [, size] = this.shape;
    const pattern = new Float32Array(size * size * 3);
    for (let i = 0; i < pattern.length; i++) {
      const pixel = Math.floor(i / 3);
      const [y, x] = [Math.floor(pixel / size), pixel % size];
      pattern[i] = (7 * y + 5 * x + 80 * (i % 3)) % 256;
    }
    const scores = await this.scores(pattern);
    for (const [index, wanted] of Object.entries(probe)) {
      if (!(Math.abs(scores[index] - wanted) <= TOLERANCE)) {
        throw new Error(`it computes ${scores[index]} where ${wanted} is right`);
      }
    }
  }
}
