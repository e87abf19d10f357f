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
// A film can be stopped; who asked their system for less motion finds it at rest.
for (const film of document.querySelectorAll('img[src^="data:image/gif"]')) {
  const { src } = film, button = document.createElement("button");
  button.type = "button";
  button.className = "motion";
  let plays = true;
  const play = (on) => {
    if (!on && !film.naturalWidth) return;
    const frame = document.createElement("canvas");
    [frame.width, frame.height] = [film.naturalWidth, film.naturalHeight];
    if (!on) frame.getContext("2d").drawImage(film, 0, 0);
    film.src = on ? src : frame.toDataURL();
    plays = on;
    button.textContent = on ? "Stop" : "Play";
  };
  button.textContent = "Stop";
  button.addEventListener("click", () => play(!plays));
  film.after(button);
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) film.decode().then(() => play(false));
}
// A picture opens large, and closes with Escape or a click.
const large = document.createElement("dialog");
large.addEventListener("click", () => large.close());
document.body.append(large);
for (const picture of document.querySelectorAll("figure > img")) {
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
// On paper nothing is folded away but long lists of files.
addEventListener("beforeprint", () => document.querySelectorAll(":not(dd) > details").forEach((d) => { d.open = true; }));
