"use strict";
// A click on a column's head sorts by it: numbers by value, words by the alphabet, empty cells last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const rising = head.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const key = (row) => {
        const cell = row.cells[column];
        const text = cell.dataset.value ?? cell.textContent.trim();
        return text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
      };
      const order = (a, b) => {
        const x = key(a), y = key(b);
        if (x === null || y === null) return (x === null) - (y === null);
        const less = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
        return rising ? less : -less;
      };
      body.append(...[...body.rows].sort(order));
    });
  });
}
// Commands can be copied where the browser allows it.
if (navigator.clipboard) {
  for (const box of document.querySelectorAll(".command div")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(box.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    box.append(button);
  }
}
// A picture opens large, and closes with Escape or a click.
const large = document.createElement("dialog");
large.addEventListener("click", () => large.close());
document.body.append(large);
for (const picture of document.querySelectorAll("figure img")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "enlarge";
  button.title = "Enlarge";
  picture.replaceWith(button);
  button.append(picture);
  button.addEventListener("click", () => {
    large.replaceChildren(picture.cloneNode());
    large.showModal();
  });
}
// A stretch of a curve that is dragged over, or chosen with + - and the arrow keys, fills the width; a double click or 0
// shows all again.
for (const area of document.querySelectorAll(".curve .area")) {
  const svg = area.querySelector("svg"), low = Number(area.dataset.from), high = Number(area.dataset.to);
  if (!(high > low)) continue;
  let view = [0, 100];
  const show = (from, to) => {
    const width = Math.min(100, Math.max(0.5, to - from));
    from = Math.min(100 - width, Math.max(0, from));
    view = [from, from + width];
    svg.setAttribute("viewBox", `${from} 0 ${width} 100`);
    const [x0, x1] = view.map((at) => low + (at / 100) * (high - low));
    area.querySelectorAll(".tick.x").forEach((tick) => tick.remove());
    const rough = (x1 - x0) / 5, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * (1 - 1e-9));
    for (let i = Math.ceil(x0 / step - 1e-9); i * step <= x1 + 1e-9 * step; i++) {
      const tick = document.createElement("span");
      tick.className = "tick x";
      tick.style.left = `${(100 * (i * step - x0)) / (x1 - x0)}%`;
      tick.textContent = (i * step).toLocaleString("en", { notation: "compact", maximumSignificantDigits: 6 });
      area.append(tick);
    }
  };
  const all = () => show(0, 100);
  const band = document.createElement("span");
  band.className = "band";
  let begin = null;
  const at = (event) => {
    const box = area.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  area.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" || event.button) return;
    begin = at(event);
    band.style.width = "0";
    area.append(band);
    area.setPointerCapture(event.pointerId);
  });
  area.addEventListener("pointermove", (event) => {
    if (begin === null) return;
    const ends = [begin, at(event)].sort((a, b) => a - b);
    band.style.left = `${100 * ends[0]}%`;
    band.style.width = `${100 * (ends[1] - ends[0])}%`;
  });
  area.addEventListener("pointerup", (event) => {
    if (begin === null) return;
    const ends = [begin, at(event)].sort((a, b) => a - b), width = view[1] - view[0];
    begin = null;
    band.remove();
    if (ends[1] - ends[0] > 0.01) show(view[0] + ends[0] * width, view[0] + ends[1] * width);
  });
  area.addEventListener("dblclick", all);
  area.tabIndex = 0;
  area.title = "Drag to zoom, double click to see all; keys: + - arrows 0";
  area.addEventListener("keydown", (event) => {
    const width = view[1] - view[0];
    const moves = {
      "+": [width / 8, -width / 8], "-": [-width / 6, width / 6],
      ArrowLeft: [-width / 5, -width / 5], ArrowRight: [width / 5, width / 5],
    };
    if (event.key === "0" || event.key === "Escape") all();
    else if (moves[event.key]) show(view[0] + moves[event.key][0], view[1] + moves[event.key][1]);
    else return;
    event.preventDefault();
  });
}
// On paper nothing is folded away.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
