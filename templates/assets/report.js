"use strict";
// Conveniences only: reading the charts with the pointer, sorting the labels, printing what is folded.

function readChart(figure) {
  const readings = JSON.parse(figure.querySelector("script").textContent);
  const plot = figure.querySelector(".plot");
  const values = figure.querySelectorAll(".legend .value");
  const at = figure.querySelector(".legend .at");
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
  cursor.setAttribute("class", "cursor");
  cursor.setAttribute("y1", "0");
  cursor.setAttribute("y2", "100%");

  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const wanted = (1000 * (event.clientX - box.left)) / box.width;
    const [place, time, texts] = nearest(readings, wanted);
    cursor.setAttribute("x1", place / 10 + "%");
    cursor.setAttribute("x2", place / 10 + "%");
    plot.firstElementChild.append(cursor);
    values.forEach((value, i) => { value.textContent = texts[i]; });
    at.textContent = "at " + time;
  });
  plot.addEventListener("pointerleave", () => {
    cursor.remove();
    values.forEach((value) => { value.textContent = ""; });
    at.textContent = "";
  });
}

function nearest(readings, wanted) {
  let low = 0;
  let high = readings.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (readings[middle][0] < wanted) low = middle;
    else high = middle;
  }
  return wanted - readings[low][0] < readings[high][0] - wanted ? readings[low] : readings[high];
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (head.textContent === "time") return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") !== "descending" && column > 0
        || head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortGroups(table, column, descending ? -1 : 1);
    });
  });
}

function sortGroups(table, column, direction) {
  const key = (body) => {
    const cell = body.rows[0].cells[column];
    return column === 0 ? cell.textContent : Number(cell.dataset.value);
  };
  const order = (a, b) => direction * (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
  for (const title of table.querySelectorAll("tbody.group")) {
    const bodies = [];
    for (let next = title.nextElementSibling; next && next.className === "label"; next = next.nextElementSibling) {
      bodies.push(next);
    }
    title.after(...bodies.sort(order));
  }
}

document.querySelectorAll("figure.chart").forEach(readChart);
document.querySelectorAll("table.labels").forEach(sortable);

let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  opened.forEach((details) => { details.open = true; });
});
addEventListener("afterprint", () => {
  opened.forEach((details) => { details.open = false; });
});
