/** Results as a CSV file: one row per picture, its five best classes in columns. */

const COLUMNS = ["file", "width", "height", "sure", "milliseconds", "problem"];

export function csv(gallery) {
  const count = Math.max(0, ...gallery.items.map((x) => x.result?.classes.length ?? 0));
  const numbers = Array.from({ length: count }, (_, i) => i + 1);
  const header = [...COLUMNS, ...numbers.flatMap((i) => [`class_${i}`, `score_${i}`])];
  const rows = gallery.items
    .filter((x) => x.result !== null || x.problem !== null)
    .map((item) => rowOf(item, gallery));
  return [header, ...rows].map((row) => row.map(cell).join(",") + "\r\n").join("");
}

function rowOf({ name, result, problem }, gallery) {
  if (result === null) return [name, "", "", "", "", problem];
  const isSure = gallery.isUnsure(result) ? "no" : "yes";
  const facts = [result.width, result.height, isSure, result.times.network.toFixed(1), ""];
  const scores = result.classes.flatMap((x) => [x.name, x.score.toFixed(6)]);
  return [name, ...facts, ...scores];
}

/** RFC 4180; an apostrophe keeps spreadsheets from running text as a formula. */
function cell(value) {
  let text = String(value);
  if (/^[=+\-@\t]/.test(text) && Number.isNaN(Number(text))) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Gives the browser a file to save. */
export function save(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
