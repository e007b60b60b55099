"use strict";
const config = { responsive: true, displaylogo: false, displayModeBar: false };
const charts = [...document.querySelectorAll(".chart")];

function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

for (const chart of charts) {
  const figure = JSON.parse(chart.querySelector("script").textContent);
  const target = chart.querySelector(".plot");
  figure.layout.font.color = ink("--ink");
  figure.layout.hoverlabel = { bgcolor: ink("--card"), font: { color: ink("--ink") } };
  Plotly.newPlot(target, figure.data, figure.layout, config);
}

function repaint(color, card) {
  for (const chart of charts) {
    const hoverlabel = { bgcolor: card, font: { color } };
    Plotly.relayout(chart.querySelector(".plot"), { "font.color": color, hoverlabel });
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => repaint(ink("--ink"), ink("--card")));
addEventListener("beforeprint", () => repaint("#111", "#fff"));
addEventListener("afterprint", () => repaint(ink("--ink"), ink("--card")));
