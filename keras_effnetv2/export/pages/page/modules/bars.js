/** The best classes of a picture, as bars with names. */

const PERCENT = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });
const NUM_SHOWN = 5;

export function percent(share) {
  return PERCENT.format(share);
}

/** The best classes as `{index, name, score}`, best first; ties stay in order. */
export function best(scores, labels, count = NUM_SHOWN) {
  return Array.from(scores, (score, index) => ({ index, score }))
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, count)
    .map(({ index, score }) => ({ index, score, name: nameOf(index, labels) }));
}

function nameOf(index, labels) {
  return labels ? labels[index].replaceAll("_", " ") : `class ${index}`;
}

/** Shows the classes in a list. */
export function showBars(list, classes) {
  while (list.children.length > classes.length) list.lastChild.remove();
  while (list.children.length < classes.length) list.append(emptyBar());
  classes.forEach(({ name, score }, i) => {
    const [label, share, track] = list.children[i].children;
    label.textContent = name;
    share.textContent = percent(score);
    track.firstChild.style.width = `${100 * score}%`;
  });
}

function emptyBar() {
  const item = element("li");
  const track = element("div", "track");
  track.append(element("div"));
  item.append(element("span"), element("span", "share"), track);
  return item;
}

/** A new element with a class and text. */
export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}
