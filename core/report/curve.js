// A stretch of a curve that is dragged over, or chosen with + - and the arrow keys, fills the box, in height too; a double
// click or 0 shows all again. The pointer reads values off. Where lines are of different runs, their names hide them.
for (const area of document.querySelectorAll(".curve .area")) {
  const svg = area.querySelector("svg"), paths = [...svg.querySelectorAll("path")];
  const [x0, x1, high, low] = ["from", "to", "high", "low"].map((name) => Number(area.dataset[name]));
  if (!(x1 > x0)) continue;
  const valueX = (at) => x0 + (at / 100) * (x1 - x0), valueY = (at) => high - (at / 100) * (high - low);
  const isLog = "log" in area.dataset, said = (y) => (isLog ? 10 ** y : y).toPrecision(4);
  const points = paths.map((path) => path.getAttribute("d").slice(1).split("L").map((pair) => pair.split(" ").map(Number)));
  const entries = [...area.closest(".card").querySelectorAll(".legend li")].slice(0, paths.length);
  const names = entries.map((entry) => entry.textContent);
  const isShown = (i) => paths[i].style.display !== "none";
  const round = (from, to) => {
    const rough = (to - from) / 5, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * (1 - 1e-9));
    const first = Math.ceil(from / step - 1e-9), count = Math.floor(to / step + 1e-9) - first + 1;
    return { step, values: Array.from({ length: count }, (_, i) => (first + i) * step) };
  };
  const powers = (from, to) => {
    const whole = Array.from({ length: Math.max(0, Math.floor(to) - Math.ceil(from) + 1) }, (_, i) => Math.ceil(from) + i);
    const every = Math.ceil(whole.length / 6);
    return whole.length > 1 ? { step: 1, values: whole.filter((_, i) => i % every === 0) } : round(from, to);
  };
  const written = (value, step) => Math.abs(value) >= 1e4
    ? value.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 5 })
    : value.toFixed(Math.min(9, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9))));
  const mark = (axis, side, at, text) => {
    const tick = document.createElement("span");
    tick.className = `tick ${axis}`;
    tick.style[side] = `${at}%`;
    tick.textContent = text;
    area.append(tick);
  };
  let view = [0, 100];
  const show = (from, to) => {
    const width = Math.min(100, Math.max(0.5, to - from));
    from = Math.min(100 - width, Math.max(0, from));
    view = [from, from + width];
    let top = 0, height = 100;
    const inside = points.flatMap((line, i) => isShown(i) ? line.filter(([x]) => x >= from && x <= from + width) : []);
    if (width < 100 && inside.length > 1) {
      const heights = inside.map(([, y]) => y), upper = Math.min(...heights), lower = Math.max(...heights);
      const margin = 0.06 * (lower - upper) || 1;
      [top, height] = [upper - margin, lower - upper + 2 * margin];
    }
    svg.setAttribute("viewBox", `${from} ${top} ${width} ${height}`);
    area.querySelectorAll(".tick, .grid").forEach((old) => old.remove());
    const across = round(valueX(from), valueX(from + width)), down = (isLog ? powers : round)(valueY(top + height), valueY(top));
    for (const x of across.values) {
      mark("x", "left", (100 * (x - valueX(from))) / (valueX(from + width) - valueX(from)), written(x, across.step));
    }
    for (const y of down.values) {
      const at = (100 * (high - y)) / (high - low), line = document.createElementNS(svg.namespaceURI, "line");
      for (const [name, value] of Object.entries({ class: "grid", x1: 0, x2: 100, y1: at, y2: at })) {
        line.setAttribute(name, value);
      }
      svg.prepend(line);
      mark("y", "top", (100 * (at - top)) / height, isLog ? (10 ** y).toExponential(down.step < 1 ? 1 : 0) : written(y, down.step));
    }
  };
  const all = () => show(0, 100);
  entries.forEach((entry, i) => {
    if (entry.dataset.line === undefined) return;
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    button.title = "Show or hide";
    button.append(...entry.childNodes);
    entry.append(button);
    button.addEventListener("click", () => {
      paths[i].style.display = isShown(i) ? "none" : "";
      button.setAttribute("aria-pressed", String(isShown(i)));
      show(...view);
    });
  });
  const band = document.createElement("span"), reading = document.createElement("p");
  [band.className, reading.className] = ["band", "reading"];
  area.parentElement.after(reading);
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
    if (begin === null) {
      const x = view[0] + at(event) * (view[1] - view[0]);
      const nearest = (line) => line.reduce((best, p) => (Math.abs(p[0] - x) < Math.abs(best[0] - x) ? p : best));
      const found = points.map((line, i) => `${names[i]} ${said(valueY(nearest(line)[1]))}`).filter((_, i) => isShown(i));
      reading.textContent = `${Math.round(valueX(x)).toLocaleString("en")}: ${found.join(", ")}`;
      return;
    }
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
  area.addEventListener("pointerleave", () => { if (begin === null) reading.textContent = ""; });
  area.addEventListener("dblclick", all);
  area.tabIndex = 0;
  area.title = "Drag to zoom, double click to see all; keys: + - arrows 0";
  area.addEventListener("keydown", (event) => {
    const width = view[1] - view[0];
    const moves = {
      "+": [width / 8, -width / 8], "=": [width / 8, -width / 8], "-": [-width / 6, width / 6],
      ArrowLeft: [-width / 5, -width / 5], ArrowRight: [width / 5, width / 5],
    };
    if (event.key === "0" || event.key === "Escape") all();
    else if (moves[event.key]) show(view[0] + moves[event.key][0], view[1] + moves[event.key][1]);
    else return;
    event.preventDefault();
  });
}
