/** The section "About this network", from model.json. */
import { element, percent } from "./bars.js";

export function showAbout(manifest) {
  document.title = manifest.title;
  document.getElementById("title").textContent = manifest.title;
  const list = document.querySelector("#about dl");
  for (const [name, value] of facts(manifest)) {
    list.append(element("dt", "", name), element("dd", "", value));
  }
}

function facts(manifest) {
  const { preprocessing, model_file: file, runtime, versions, formats } = manifest;
  const [format] = Object.keys(formats);
  const { agreement, largest_difference: difference, accuracy } = formats[format];
  const size = preprocessing.image_size;
  const rows = [
    ["Network", [manifest.variant, manifest.name].find(Boolean)],
    ["Trained by", manifest.experiment],
    ["Weights", manifest.weights],
    ["Classes", classes(manifest)],
    ["Input", `${size} x ${size} pixels, ${cropOf(preprocessing)}`],
    ["File", `${file.file}, ${(file.bytes / 1e6).toFixed(1)} MB`],
    [
      "Compared with Keras",
      `same best class for ${percent(agreement)} of ${manifest.compared_on}, scores ` +
        `within ${difference.toPrecision(2)}`,
    ],
    ["Accuracy", accuracy === null ? null : `${percent(accuracy)} of these`],
    ["Scores", scores(manifest)],
    ["Engine", `${runtime.package} ${runtime.version}, ${runtime.license}`],
    ["Exported by", `keras_effnetv2 ${versions.keras_effnetv2}`],
  ];
  return rows.filter(([, value]) => value);
}

function classes({ classes: count, preprocessing: { labels } }) {
  const shown = labels && count <= 30 ? `: ${labels.join(", ").replaceAll("_", " ")}` : "";
  return count + shown;
}

function cropOf({ crop, crop_pct: share, image_size: size }) {
  if (crop === "squash" || (crop === "center_below_320" && size >= 320)) {
    return "the whole picture, stretched to a square";
  }
  return crop === "border" ? "the whole picture with a border" : "from the picture's centre";
}

function scores({ is_calibrated: isCalibrated, not_sure_below: threshold }) {
  const kind = isCalibrated ? "calibrated probabilities" : "probabilities, not calibrated";
  return `${kind}; "not sure" below ${percent(threshold)}`;
}
