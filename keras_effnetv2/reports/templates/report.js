"use strict";
const payload = JSON.parse(document.getElementById("payload").textContent);
const viewer = document.getElementById("viewer");
const viewerTitle = document.getElementById("viewer-title");
const viewerBody = document.getElementById("viewer-body");

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.append(text);
  made.append(...children);
  return made;
}

function percent(share) {
  return (100 * share).toFixed(1) + "%";
}

function picture(key, words) {
  const image = document.createElement("img");
  image.src = payload.thumbnails[key];
  image.alt = words;
  return image;
}

function isolated(text) {
  return element("bdi", text);
}

function fill(button) {
  const facts = payload.images[button.dataset.image];
  const words = facts.labels.join(", ") || "no label";
  const line = element("span");
  line.append(isolated(facts.predicted), " · " + percent(facts.score));
  const label = element("span");
  label.append("label ", isolated(words));
  button.append(picture(button.dataset.image, facts.name), line, label);
  button.title = facts.name;
  button.addEventListener("click", () => showImage(button.dataset.image));
}

function figure(key, words) {
  return element("figure", "", picture(key, words), element("figcaption", words));
}

function open(title, ...contents) {
  viewerTitle.replaceChildren(...title);
  viewerBody.replaceChildren(...contents);
  if (!viewer.open) viewer.showModal();
  viewer.scrollTop = 0;
}

function showImage(key) {
  const facts = payload.images[key];
  const large = element("div");
  large.className = "large";
  large.append(figure(key, facts.name));
  for (const heat of facts.heat) {
    large.append(figure(heat.image, "evidence for " + heat.class));
  }
  const labels = facts.labels.map((name, i) => `${name} (${percent(facts.own[i])})`);
  const line = element("p");
  line.append("Label: ", isolated(labels.join(", ") || "none"), ".");
  open(["Predicted as ", isolated(facts.predicted), ` (${percent(facts.score)})`], line, large);
}

function showCell(key) {
  const cell = payload.cells[key];
  const gallery = element("div");
  gallery.className = "gallery";
  for (const image of cell.keys) {
    const button = element("button");
    button.type = "button";
    button.className = "picture";
    button.dataset.image = image;
    fill(button);
    gallery.append(button);
  }
  const shown = cell.keys.length === cell.count ? "" : `, ${cell.keys.length} of them shown`;
  const plural = cell.count === 1 ? "image" : "images";
  const line = element("p", `${cell.count} ${plural}${shown}.`);
  open([isolated(cell.label), " predicted as ", isolated(cell.predicted)], line, gallery);
}

function compare(first, second) {
  const numbers = [Number(first), Number(second)];
  if (!numbers.some(Number.isNaN)) return numbers[0] - numbers[1];
  return first.localeCompare(second);
}

function sort(table, column, header) {
  const isDown = header.getAttribute("aria-sort") !== "descending";
  const isText = !header.classList.contains("n");
  const before = header.getAttribute("aria-sort");
  // Numbers begin with the largest, names with the first.
  const direction = before === "none" ? (isText ? 1 : -1) : (isDown ? -1 : 1);
  for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", direction < 0 ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows];
  const value = (row) => row.cells[column].dataset.value;
  rows.sort((a, b) => direction * compare(value(a), value(b)));
  table.tBodies[0].append(...rows);
}

for (const button of document.querySelectorAll("main .picture")) fill(button);
for (const button of document.querySelectorAll("[data-cell]")) {
  button.addEventListener("click", () => showCell(button.dataset.cell));
}
for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    header.querySelector("button").addEventListener("click", () => sort(table, column, header));
  });
}
viewer.addEventListener("click", (event) => {
  if (event.target === viewer) viewer.close();
});
