"use strict";
(() => {
  const all = (query, from = document) => [...from.querySelectorAll(query)];
  const tip = document.getElementById("tip");

  // Runs on and off.
  for (const box of all("input[data-run]")) {
    box.addEventListener("change", () => {
      for (const part of all(`.of-${box.dataset.run}`)) part.classList.toggle("off", !box.checked);
    });
  }

  // Laws found and ordered.
  const form = document.querySelector(".controls");
  if (form) {
    const cards = all(".law");
    const arrange = () => {
      const words = form.elements.find.value.toLowerCase().split(/\s+/).filter(Boolean);
      const key = form.elements.order.value;
      let shown = 0;
      for (const card of cards) {
        const hit = words.every((word) => card.dataset.text.includes(word));
        card.classList.toggle("hidden", !hit);
        shown += hit;
      }
      const sorted = [...cards].sort((a, b) => Number(b.dataset[key]) - Number(a.dataset[key]));
      cards[0].parentElement.append(...sorted);
      form.elements.find.form.querySelector("output").textContent = shown === cards.length ? "" : `${shown} of ${cards.length}`;
    };
    form.hidden = false;
    form.addEventListener("input", arrange);
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  // The numbers under the pointer, read back from the drawing.
  const numbers = (text) => text.split(",").map(Number);
  const size = (value) => (value === 0 ? "0" : value.toExponential(1).replace("e", " × 10^").replace("+", ""));
  const point = (chart, event) => {
    const box = chart.getBoundingClientRect();
    const [x0, x1, left, right] = numbers(chart.dataset.x);
    const [low, high, bottom, top] = numbers(chart.dataset.y);
    const at = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
    const lines = all(".line:not(.off)", chart).map((line) => {
      const own = all("polyline", line).flatMap((drawn) => [...drawn.points].map((p) => [p.x, p.y]));
      own.push(...all("circle", line).map((c) => [c.cx.baseVal.value, c.cy.baseVal.value]));
      const near = own.reduce((a, b) => (Math.abs(b[0] - at) < Math.abs(a[0] - at) ? b : a), [Infinity, 0]);
      return { name: line.dataset.name, x: near[0], value: 10 ** (low + ((near[1] - bottom) / (top - bottom)) * (high - low)) };
    }).filter((line) => Number.isFinite(line.x));
    if (!lines.length) return null;
    const x = lines.reduce((a, b) => (Math.abs(b.x - at) < Math.abs(a.x - at) ? b : a)).x;
    const step = right === left || x1 === x0 ? x0 : Math.round(x0 + ((x - left) / (right - left)) * (x1 - x0));
    return { x, step, lines: lines.filter((line) => Math.abs(line.x - x) < 1), top, bottom };
  };
  const hide = (chart) => {
    tip.hidden = true;
    chart.querySelector(".cursor")?.remove();
  };
  for (const chart of all(".over-steps")) {
    chart.addEventListener("pointerleave", () => hide(chart));
    chart.addEventListener("pointermove", (event) => {
      hide(chart);
      const found = point(chart, event);
      if (!found) return;
      const cursor = document.createElementNS(chart.namespaceURI, "line");
      for (const [name, value] of Object.entries({ class: "cursor", x1: found.x, x2: found.x, y1: found.top, y2: found.bottom })) cursor.setAttribute(name, value);
      chart.append(cursor);
      tip.textContent = "";
      for (const text of [`step ${found.step}`, ...found.lines.map((line) => `${line.name}: ${size(line.value)}`)]) {
        const row = document.createElement("div");
        row.textContent = text;
        tip.append(row);
      }
      tip.hidden = false;
      const left = Math.min(event.pageX + 14, document.documentElement.clientWidth - tip.offsetWidth - 8);
      tip.style.left = `${Math.max(8, left)}px`;
      tip.style.top = `${event.pageY + 14}px`;
    });
  }
})();
