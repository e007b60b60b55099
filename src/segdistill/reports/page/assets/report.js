"use strict";
const config = { responsive: true, displaylogo: false, displayModeBar: false };
const touch = matchMedia("(pointer: coarse)").matches; // a finger on a chart scrolls the page
const charts = [...document.querySelectorAll(".chart")];
const hidden = new Set(); // rows that the reader has switched off
let paper = false; // being printed

function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Draw a chart anew from its data: the chosen figure, without the hidden rows, in the colours of the page. */
function draw(chart) {
  const choice = chart.querySelector("select")?.selectedIndex ?? 0;
  const figure = JSON.parse(chart.querySelectorAll("script")[choice].textContent);
  const [color, card] = paper ? ["#111", "#fff"] : [ink("--ink"), ink("--card")];
  for (const trace of figure.data) {
    if (hidden.has(trace.meta)) trace.visible = false;
    if (trace.texttemplate) trace.textfont = { ...trace.textfont, color };
  }
  Object.assign(figure.layout, { dragmode: touch ? false : "zoom", hoverlabel: { bgcolor: card, font: { color } } });
  figure.layout.font.color = color;
  if (paper) figure.layout.width = chart.closest(".small") ? 190 : 660; // pixels that fit on A4
  chart.classList.add("drawn");
  Plotly.react(chart.querySelector(".plot"), figure.data, figure.layout, config);
}

function redraw() {
  charts.filter((chart) => chart.classList.contains("drawn")).forEach(draw);
}

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    draw(target);
  }
}, { rootMargin: "600px" });
for (const chart of charts) {
  seen.observe(chart);
}

// Lists of equal name change together, as far as they offer the same choice.
for (const select of document.querySelectorAll(".chart select")) {
  select.addEventListener("change", () => {
    for (const other of document.querySelectorAll(`.chart select[name="${select.name}"]`)) {
      const index = [...other.options].findIndex((option) => option.text === select.value);
      if (index < 0) continue;
      other.selectedIndex = index;
      draw(other.closest(".chart"));
    }
  });
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("beforeprint", () => {
  paper = true;
  charts.filter((chart) => chart.offsetParent).forEach(draw);
});
addEventListener("afterprint", () => {
  paper = false;
  redraw();
});

for (const button of document.querySelectorAll(".rows button")) {
  button.addEventListener("click", () => {
    const row = Number(button.value);
    if (!hidden.delete(row)) hidden.add(row);
    button.setAttribute("aria-pressed", String(!hidden.has(row)));
    redraw();
  });
}

/** Order the children of an element by a value of each; what has no value comes last in both directions. */
function sort(parent, value, descending) {
  const order = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    const difference = isNaN(x) || isNaN(y) ? x.localeCompare(y, undefined, { numeric: true }) : x - y;
    return descending ? -difference : difference;
  };
  parent.append(...[...parent.children].sort(order));
}

for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    header.querySelector("button").addEventListener("click", () => {
      const first = header.dataset.first ?? "descending";
      const other = first === "descending" ? "ascending" : "descending";
      const direction = header.getAttribute("aria-sort") === first ? other : first;
      headers.forEach((each) => each.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", direction);
      sort(table.tBodies[0], (row) => row.cells[column].dataset.value, direction === "descending");
    });
  });
}

/** Buttons of which one is pressed. */
function choose(selector, action) {
  const buttons = [...document.querySelectorAll(selector)];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      buttons.forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
      action(button.value);
    });
  }
}

const samples = document.querySelector(".samples");
choose(".order.by button", (key) => sort(samples, (sample) => sample.dataset[key], key !== "name"));
choose(".order.what button", (what) => { samples.className = `samples ${what}`; });
