// Curves in space turn slowly about their upright axis. A button or the space bar stops them, the arrow keys turn and tilt
// them, and so does dragging; who asked their system for less motion finds them at rest.
for (const box of document.querySelectorAll(".orbits")) {
  const { axes, reach, runs } = JSON.parse(box.dataset.orbits), still = box.querySelector("img"), GREY = "#7a828a";
  const panels = runs.map((run) => {
    const bytes = Uint8Array.from(atob(run.points), (letter) => letter.charCodeAt(0));
    const points = Float32Array.from(new Uint16Array(bytes.buffer), (level) => ((level / 65535) * 2 - 1) * reach);
    const panel = document.createElement("div"), canvas = document.createElement("canvas"), name = document.createElement("p");
    name.textContent = run.name;
    canvas.className = "plot";
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${run.name}: orbit in ${axes.join(", ")}. ${still.alt}`);
    panel.append(canvas, name);
    return { ...run, points, panel, canvas };
  });
  const row = document.createElement("div"), button = document.createElement("button");
  row.className = "panels";
  row.tabIndex = 0;
  row.setAttribute("role", "group");
  row.setAttribute("aria-label", "Turning orbits: space stops and starts, arrow keys turn and tilt");
  row.append(...panels.map(({ panel }) => panel));
  button.type = "button";
  still.replaceWith(row, button);
  let angle = 0, tilt = 0.28, moving = !matchMedia("(prefers-reduced-motion: reduce)").matches, seen = true, last = 0;
  const draw = () => {
    const [s, c, st, ct] = [Math.sin(angle), Math.cos(angle), Math.sin(tilt), Math.cos(tilt)];
    for (const { canvas, points, colour } of panels) {
      const width = canvas.clientWidth, height = canvas.clientHeight, ratio = devicePixelRatio || 1;
      if (!width) continue;
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
      }
      const pen = canvas.getContext("2d"), scale = Math.min(width, height) / 2.9;
      pen.setTransform(ratio, 0, 0, ratio, (ratio * width) / 2, (ratio * height) / 2);
      pen.clearRect(-width, -height, 2 * width, 2 * height);
      const place = (x, y, z) => {
        const depth = x * s + y * c;
        return [scale * (x * c - y * s), -scale * (z * ct - depth * st), depth];
      };
      pen.strokeStyle = pen.fillStyle = GREY;
      [pen.globalAlpha, pen.lineWidth, pen.font] = [0.9, 0.8, "11px sans-serif"];
      [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]].forEach((end, i) => {
        const [x0, y0] = place(-1, -1, -1), [x1, y1] = place(...end);
        pen.beginPath();
        pen.moveTo(x0, y0);
        pen.lineTo(x1, y1);
        pen.stroke();
        pen.fillText(axes[i], x1 + 3, y1 - 3);
      });
      [pen.strokeStyle, pen.lineWidth, pen.lineJoin] = [colour, 0.9, "round"];
      const piece = 24, n = points.length / 3;
      for (let begin = 0; begin < n - 1; begin += piece) {
        const end = Math.min(n, begin + piece + 1);
        let depths = 0;
        pen.beginPath();
        for (let i = begin; i < end; i++) {
          const [x, y, depth] = place(points[3 * i], points[3 * i + 1], points[3 * i + 2]);
          pen.lineTo(x, y);
          depths += depth;
        }
        pen.globalAlpha = Math.min(0.95, Math.max(0.2, 0.55 - (0.3 * depths) / (end - begin)));
        pen.stroke();
      }
      if (!n) continue;
      pen.globalAlpha = 1;
      pen.fillStyle = "#2b3138";
      pen.beginPath();
      pen.arc(...place(points[0], points[1], points[2]).slice(0, 2), 3, 0, 2 * Math.PI);
      pen.fill();
    }
  };
  const step = (now) => {
    if (!moving) return;
    if (seen && now - last > 30) {
      angle += Math.min(0.1, last ? (now - last) / 3200 : 0);
      last = now;
      draw();
    }
    requestAnimationFrame(step);
  };
  const move = (on) => {
    moving = on;
    button.textContent = on ? "Stop" : "Turn";
    last = 0;
    if (on) requestAnimationFrame(step);
  };
  button.addEventListener("click", () => move(!moving));
  row.addEventListener("keydown", (event) => {
    const turns = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
    if (event.key === " ") move(!moving);
    else if (turns) [angle, tilt] = [angle + turns[0], Math.min(1.5, Math.max(-1.5, tilt + turns[1]))];
    else return;
    event.preventDefault();
    draw();
  });
  row.addEventListener("pointerdown", (event) => { if (event.pointerType !== "touch") row.setPointerCapture(event.pointerId); });
  row.addEventListener("pointermove", (event) => {
    if (!row.hasPointerCapture(event.pointerId)) return;
    [angle, tilt] = [angle + event.movementX / 120, Math.min(1.5, Math.max(-1.5, tilt + event.movementY / 120))];
    draw();
  });
  new IntersectionObserver(([entry]) => { seen = entry.isIntersecting; }).observe(row);
  new ResizeObserver(draw).observe(row);
  move(moving);
}
