/**
 * Decodes and classifies in a worker, so that the page never freezes.
 *
 * A classic worker: WebAssembly engines are scripts, which `importScripts` runs.
 */
const modules = Promise.all(
  ["classifier", "decoding", "evaluation"].map((name) => import(`./${name}.js`))
);
let classifier, record;

const TASKS = {
  async open({ manifest, bytes, folder, wanted }) {
    const [{ openClassifier }] = await modules;
    classifier = await openClassifier(manifest, bytes, folder, wanted);
    record = manifest.preprocessing;
    return { title: classifier.title };
  },

  async classify({ blob }) {
    const [, { open }, { evaluationPixels }] = await modules;
    const start = performance.now();
    const picture = await open(blob);
    try {
      const pixels = evaluationPixels(picture, record);
      const ready = performance.now();
      const scores = await classifier.scores(pixels);
      const end = performance.now();
      const { width, height } = picture;
      const thumbnail = await picture.thumbnail();
      const times = { preparation: ready - start, network: end - ready };
      return { scores, width, height, thumbnail, times };
    } finally {
      picture.close();
    }
  },
};

self.onmessage = async ({ data: { id, task, values } }) => {
  try {
    self.postMessage({ id, result: await TASKS[task](values) });
  } catch (error) {
    const isMeant = error.constructor.name === "UserError";
    self.postMessage({ id, error: { message: error.message, isMeant } });
  }
};
