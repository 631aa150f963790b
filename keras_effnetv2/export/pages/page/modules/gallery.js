/** The added pictures, each with the network's result. */
import { best, element, percent, showBars } from "./bars.js";
import { wordsOf } from "./messages.js";

const find = (id) => document.getElementById(id);
// Pictures with a shorter side, in pixels, are shown as squares.
const SMALL = 64;

export class Gallery {
  /**
   * @param {object} manifest model.json.
   * @param {function} onResult is called with each result.
   */
  constructor(manifest, onResult) {
    this.manifest = manifest;
    this.onResult = onResult;
    this.items = [];
    this.selected = null;
    find("clear").addEventListener("click", () => this.clear());
    find("explain").addEventListener("click", () => this.#explain());
  }

  /** Adds a picture, and shows its result when the engine has it. */
  async add(blob, name, engine) {
    const item = { blob, name, card: element("button"), result: null, problem: null };
    item.card.type = "button";
    item.card.addEventListener("click", () => this.select(item));
    item.card.append(element("span", "waiting", "…"), element("span", "", name));
    const place = element("li");
    place.append(item.card);
    find("cards").prepend(place);
    this.items.push(item);
    find("gallery").hidden = false;
    try {
      const result = await engine.classify(blob);
      const { labels } = this.manifest.preprocessing;
      item.result = { ...result, classes: best(result.scores, labels) };
      this.onResult(item.result);
    } catch (error) {
      item.problem = wordsOf(error);
    }
    if (!this.items.includes(item)) return; // Cleared in the meantime.
    this.#fillCard(item);
    this.select(item);
  }

  select(item) {
    for (const { card } of this.items) card.removeAttribute("aria-current");
    item.card.setAttribute("aria-current", "true");
    this.selected = item;
    find("result").hidden = false;
    find("heat").hidden = true;
    this.#showPicture(item);
    item.problem === null ? this.#showResult(item) : this.#showProblem(item);
  }

  clear() {
    for (const { thumbnail } of this.items) {
      if (thumbnail) URL.revokeObjectURL(thumbnail);
    }
    this.items = [];
    this.selected = null;
    find("cards").replaceChildren();
    for (const id of ["gallery", "result"]) find(id).hidden = true;
    find("choose").focus();
  }

  /** Whether the best class is below the exporter's threshold. */
  isUnsure(result) {
    return result.classes[0].score < this.manifest.not_sure_below;
  }

  #fillCard(item) {
    const { card, name, result, problem } = item;
    if (problem !== null) {
      card.className = "failed";
      const shown = element("span", "waiting", "✕");
      card.replaceChildren(shown, element("span", "", name), element("span", "quiet", problem));
      return;
    }
    const [first] = result.classes;
    const image = element("img", isSmall(result) ? "small" : "");
    item.thumbnail = image.src = URL.createObjectURL(result.thumbnail);
    image.alt = "";
    const verdict = this.isUnsure(result) ? `not sure: ${first.name}?` : first.name;
    const facts = `${percent(first.score)} · ${name}`;
    card.replaceChildren(image, element("strong", "", verdict), element("span", "quiet", facts));
  }

  #showPicture({ blob, name, result }) {
    const image = find("picture");
    if (image.src) URL.revokeObjectURL(image.src);
    image.hidden = result === null;
    image.className = result && isSmall(result) ? "small" : "";
    if (result === null) return image.removeAttribute("src");
    image.src = URL.createObjectURL(blob);
    image.alt = name;
  }

  #showResult({ name, result }) {
    const { classes, width, height, times } = result;
    const [first] = classes;
    const isUnsure = this.isUnsure(result);
    find("result-title").textContent = isUnsure ? "Not sure" : first.name;
    find("doubt").hidden = !isUnsure;
    find("doubt").textContent =
      `The best of ${this.manifest.classes} classes, ${first.name}, has ` +
      `${percent(first.score)}, less than ${percent(this.manifest.not_sure_below)}.`;
    showBars(find("bars"), classes);
    find("facts").textContent = `${name}, ${width} x ${height} pixels`;
    find("times").textContent =
      `${times.network.toFixed(0)} ms in the network, ` +
      `${times.preparation.toFixed(0)} ms to decode and resize`;
    find("explain").hidden = !this.manifest.explains;
  }

  #showProblem({ name, problem }) {
    find("result-title").textContent = "No result";
    find("doubt").hidden = false;
    find("doubt").textContent = `${name}: ${problem}`;
    showBars(find("bars"), []);
    find("facts").textContent = name;
    find("times").textContent = "";
    find("explain").hidden = true;
  }

  /** Asks the local server for heat maps, which a browser cannot compute: see `serve`. */
  async #explain() {
    const item = this.selected;
    const [button, heat] = [find("explain"), find("heat")];
    button.disabled = true;
    try {
      const answer = await fetch("explain", { method: "POST", body: item.blob });
      if (!answer.ok) throw new Error(await answer.text());
      if (item !== this.selected) return;
      if (heat.src) URL.revokeObjectURL(heat.src);
      heat.src = URL.createObjectURL(await answer.blob());
      heat.alt = `Heat maps: where in the picture the network sees ${item.result.classes
        .slice(0, 3).map((x) => x.name).join(", ")}`;
      heat.hidden = false;
    } catch (error) {
      find("doubt").hidden = false;
      find("doubt").textContent = `It cannot be explained: ${error.message}`;
    } finally {
      button.disabled = false;
    }
  }
}

function isSmall({ width, height }) {
  return Math.max(width, height) < SMALL;
}
