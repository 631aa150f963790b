/** The network for the page: a worker that classifies one picture at a time. */
import { UserError } from "./errors.js";

const SITE = new URL("../", import.meta.url);

export class Engine {
  #worker = new Worker(new URL("worker.js", import.meta.url));
  #waiting = new Map();
  #last = Promise.resolve();
  #id = 0;

  constructor() {
    this.#worker.onmessage = ({ data }) => this.#settle(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      for (const id of this.#waiting.keys()) {
        const message = `The engine cannot start: ${event.message ?? "no script"}.`;
        this.#settle({ id, error: { message, isMeant: true } });
      }
    };
  }

  /**
   * Fetches the model and opens it.
   *
   * @param {object} manifest model.json.
   * @param {(share: number) => void} onProgress receives the share that has arrived, 0 to 1.
   */
  async open(manifest, onProgress) {
    const bytes = await fetchModel(manifest.model_file, onProgress);
    const wanted = new URLSearchParams(location.search).get("engine");
    const folder = new URL("runtime/", SITE).href;
    const { title } = await this.#ask("open", { manifest, bytes, folder, wanted }, [
      bytes.buffer,
    ]);
    this.title = title;
  }

  /** The network's result for a picture; one at a time, in order. */
  classify(blob) {
    const answer = this.#last.then(() => this.#ask("classify", { blob }));
    this.#last = answer.catch(() => {});
    return answer;
  }

  close() {
    this.#worker.terminate();
  }

  #ask(task, values, transfer = []) {
    const id = this.#id++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, task, values }, transfer);
    });
  }

  #settle({ id, result, error }) {
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (!error) return resolve(result);
    reject(error.isMeant ? new UserError(error.message) : new Error(error.message));
  }
}

async function fetchModel(model, onProgress) {
  let found;
  // The offline copy may be damaged: the second attempt downloads again.
  for (const cache of ["default", "reload"]) {
    found = await arrived(model, cache, onProgress);
    const isRight = found.size === model.bytes;
    if (isRight && (await isWhole(found.bytes, model.sha256))) return found.bytes;
  }
  throw new UserError(
    `The model ${model.file} is damaged: ${found.size} of ${model.bytes} bytes ` +
    "arrived, or their hash is wrong. Try again; if that fails, copy the site again."
  );
}

async function arrived(model, cache, onProgress) {
  const bytes = new Uint8Array(model.bytes);
  let size = 0;
  try {
    const response = await fetch(new URL(model.file, SITE).href, { cache });
    if (!response.ok) throw new Error(`status ${response.status}`);
    for (const reader = response.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      if (size + value.length <= bytes.length) bytes.set(value, size);
      size += value.length;
      onProgress(Math.min(1, size / model.bytes));
    }
  } catch (error) {
    throw new UserError(`The model ${model.file} could not be fetched: ${error.message}.`);
  }
  return { bytes, size };
}

/** Browsers compute hashes only for https pages and this machine's. */
async function isWhole(bytes, wanted) {
  if (!globalThis.crypto?.subtle) return true;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const found = Array.from(digest, (x) => x.toString(16).padStart(2, "0")).join("");
  return found === wanted;
}
