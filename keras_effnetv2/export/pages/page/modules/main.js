/** Connects the page's parts: input, engine and display. */
import { showAbout } from "./about.js";
import { element } from "./bars.js";
import { Camera } from "./camera.js";
import { Engine } from "./engine.js";
import { UserError } from "./errors.js";
import { Gallery } from "./gallery.js";
import { say, wordsOf } from "./messages.js";
import { stayOnline, workOffline } from "./offline.js";
import { csv, save } from "./tables.js";

const find = (id) => document.getElementById(id);
// The median over this many last pictures is shown.
const NUM_TIMES = 9;

async function start() {
  const manifest = await fetchManifest();
  showAbout(manifest);
  find("offline").textContent = await (manifest.explains ? stayOnline() : workOffline());
  const engine = new EngineWhenReady(manifest);
  const times = [];
  const gallery = new Gallery(manifest, ({ times: { network } }) => {
    times.push(network);
    const last = times.slice(-NUM_TIMES).sort((a, b) => a - b);
    const median = last[Math.floor(last.length / 2)];
    find("engine").textContent = `${engine.title} · ${median.toFixed(0)} ms per picture`;
  });
  const add = (blob, name) => gallery.add(blob, name, engine);
  takeFiles((files) => files.forEach((file) => add(file, file.name || "pasted picture")));
  showExamples(manifest.examples, add);
  new Camera(engine, manifest.preprocessing.labels, add);
  find("download").addEventListener("click", () => save(csv(gallery), "results.csv"));
  engine.open();
}

/** The engine; pictures wait until the network is loaded, also after a failure. */
class EngineWhenReady {
  #opened = Promise.withResolvers?.() ?? withResolvers();

  constructor(manifest) {
    this.manifest = manifest;
  }

  get title() {
    return this.engine.title;
  }

  async open() {
    this.engine = new Engine();
    const status = find("engine");
    try {
      await this.engine.open(this.manifest, (share) => {
        status.textContent = `Loading the network … ${Math.round(100 * share)}%`;
      });
      status.textContent = `${this.title} · ready`;
      this.#opened.resolve();
    } catch (error) {
      this.engine.close();
      status.textContent = "The network is not loaded";
      say(wordsOf(error), { title: "Try again", run: () => this.open() });
    }
  }

  async classify(blob) {
    await this.#opened.promise;
    return this.engine.classify(blob);
  }
}

function withResolvers() {
  let resolve;
  const promise = new Promise((x) => { resolve = x; });
  return { promise, resolve };
}

async function fetchManifest() {
  const response = await fetch("model.json").catch(() => null);
  const manifest = response?.ok ? await response.json().catch(() => null) : null;
  if (manifest === null) {
    throw new UserError(
      "model.json cannot be read. The page needs a web server: python -m http.server " +
      "--directory, with the name of this folder."
    );
  }
  return manifest;
}

/** Pictures that are chosen, dropped or pasted. */
function takeFiles(onFiles) {
  const input = find("files");
  find("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    onFiles([...input.files]);
    input.value = ""; // The same file can be chosen again.
  });
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (files.length === 0) say("There is no picture on the clipboard.");
    onFiles(files);
  });
  const mark = (isOver) => find("drop").classList.toggle("over", isOver);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", () => mark(false));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    onFiles([...event.dataTransfer.files]);
  });
}

function showExamples(examples, onPicture) {
  if (examples.length === 0) return;
  find("examples").hidden = false;
  for (const { file, name } of examples) {
    const button = element("button");
    button.type = "button";
    const image = element("img");
    image.src = file;
    image.alt = `Example: ${name}`;
    button.append(image);
    button.addEventListener("click", async () => {
      try {
        onPicture(await (await fetch(file)).blob(), name);
      } catch (error) {
        say(`The example ${name} cannot be fetched: ${error.message}`);
      }
    });
    const item = element("li");
    item.append(button);
    document.querySelector("#examples ul").append(item);
  }
}

start().catch((error) => say(wordsOf(error)));
