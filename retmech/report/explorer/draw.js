// Drawing: colours of the theme, Plotly with one style, and small marks.

const CHANNELS = {
  light: ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#B8A800", "#332288"],
  dark: ["#3D9BD6", "#F0B030", "#1FBF92", "#F0783C", "#8CCDF5", "#E09CC2", "#DCCB2A", "#9D8CF0"],
};
const DIVERGING = [[0, "#2166ac"], [0.25, "#92c5de"], [0.5, "#f7f7f7"], [0.75, "#f4a582"], [1, "#b2182b"]];

const dark = () => document.documentElement.dataset.theme === "dark";
const colour = (i) => CHANNELS[dark() ? "dark" : "light"][i % 8];
const ink = () => getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
const muted = () => getComputedStyle(document.documentElement).getPropertyValue("--muted").trim();
const line = () => getComputedStyle(document.documentElement).getPropertyValue("--line").trim();

/** A colour with an alpha, from #rrggbb. */
function faint(hex, alpha) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  return `rgba(${r},${g},${b},${alpha})`;
}

function axis(title, more = {}) {
  return {
    title: { text: title, standoff: 6 },
    gridcolor: line(),
    zerolinecolor: line(),
    linecolor: muted(),
    tickcolor: muted(),
    ticks: "outside",
    ticklen: 4,
    automargin: true,
    ...more,
  };
}

const NARROW = 620; // pixels, below which what stands side by side is stacked

/** Places for parts of a figure: side by side, as wide as their weights say, or on a narrow screen one below the other. */
function places(element, weights, gap) {
  const n = weights.length;
  if (element.clientWidth < NARROW) {
    return {
      rows: n,
      parts: weights.map((_, i) => ({ x: [0, 1], y: [1 - (i + 1) / n + (i < n - 1 ? 0.24 / n : 0), 1 - i / n] })),
    };
  }
  const total = weights.reduce((s, w) => s + w, 0);
  let from = 0;
  const parts = weights.map((weight) => {
    const width = (weight / total) * (1 - gap * (n - 1));
    const part = { x: [from, from + width], y: [0, 1] };
    from += width + gap;
    return part;
  });
  return { rows: 1, parts };
}

const CONFIG = {
  responsive: true,
  displaylogo: false,
  displayModeBar: false,
  scrollZoom: false,
};

/** Draw with Plotly; drags do not zoom on touch screens, so that the page can be scrolled there. */
function plot(element, traces, layout) {
  const touch = matchMedia("(pointer: coarse)").matches;
  return Plotly.react(element, traces, {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "inherit", size: 12, color: ink() },
    margin: { l: 58, r: 14, t: 26, b: 46 },
    hoverlabel: { namelength: -1 },
    dragmode: touch ? false : "zoom",
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11 } },
    showlegend: false,
    ...layout,
  }, CONFIG);
}

const curve = (x, y, name, color, more = {}) => ({
  type: "scatter",
  mode: "lines",
  x,
  y,
  name,
  line: { color, width: 1.6, ...more.line },
  ...without(more, "line"),
});

function without(object, key) {
  const { [key]: _, ...rest } = object;
  return rest;
}

/** A map of a filter or field, zero white. */
function map(z, x, y, unit, more = {}) {
  const limit = Math.max(...z.map((row) => Math.max(...row.map(Math.abs))), 1e-12);
  return {
    type: "heatmap",
    z: z.map((row) => Array.from(row)),
    x,
    y,
    zmin: -limit,
    zmax: limit,
    colorscale: DIVERGING,
    showscale: Boolean(unit),
    colorbar: { title: { text: unit, side: "right" }, thickness: 10, outlinewidth: 0, len: 1 },
    ...more,
  };
}

/** Axes of a map, and beside or below it those of a time course before the response. */
function mapAndCourse(element, height, unit) {
  const { rows: n, parts: [left, right] } = places(element, [1, 1], 0.2);
  return {
    height: height * n,
    xaxis: axis("x (um)", { domain: left.x, constrain: "domain" }),
    yaxis: axis("y (um)", { domain: left.y, scaleanchor: "x", autorange: "reversed", constrain: "domain" }),
    xaxis2: axis("time before the response (ms)", { domain: right.x, anchor: "y2" }),
    yaxis2: axis(unit, { domain: right.y, anchor: "x2" }),
  };
}

/** The scale of a map, beside it. */
function scale(element, unit) {
  const { rows: n, parts: [{ x, y }] } = places(element, [1, 1], 0.2);
  return {
    title: { text: unit, side: "right" },
    thickness: 10,
    outlinewidth: 0,
    x: x[1] + 0.01,
    y: (y[0] + y[1]) / 2,
    len: 1 / n,
  };
}

/** A map as a small canvas, in the same colours. */
function thumbnail(z) {
  const canvas = document.createElement("canvas");
  [canvas.height, canvas.width] = [z.length, z[0].length];
  const context = canvas.getContext("2d");
  const limit = Math.max(...z.map((row) => Math.max(...row.map(Math.abs))), 1e-12);
  z.forEach((row, i) =>
    row.forEach((value, j) => {
      const v = value / limit;
      const [r, g, b] = (v < 0 ? [33, 102, 172] : [178, 24, 43]).map((end) => Math.round(247 + (end - 247) * Math.abs(v)));
      context.fillStyle = `rgb(${r},${g},${b})`;
      context.fillRect(j, i, 1, 1);
    })
  );
  return canvas;
}

/** A time course as the path of a small SVG, in a box of w x h with zero in the middle. */
function path(values, w, h) {
  const limit = Math.max(...values.map(Math.abs), 1e-12);
  return Array.from(
    values,
    (v, i) => `${i ? "L" : "M"}${((i / (values.length - 1)) * w).toFixed(1)},${(h / 2 - (v / limit) * (h / 2 - 1)).toFixed(1)}`,
  ).join("");
}

const SVG = "http://www.w3.org/2000/svg";

function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function html(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function tableOf({ caption, header, rows: lines }) {
  return html(
    "div",
    { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    html(
      "table",
      {},
      html("caption", {}, caption),
      html("thead", {}, html("tr", {}, ...header.map((name) => html("th", { scope: "col" }, name)))),
      html(
        "tbody",
        {},
        ...lines.map((cells) =>
          html("tr", {}, ...cells.map((cell, i) => html(i ? "td" : "th", i ? {} : { scope: "row" }, cell)))
        ),
      ),
    ),
  );
}

const shown = (
  number,
  digits = 3,
) => (number === null || !Number.isFinite(number) ? "none" : String(Number(number.toPrecision(digits))));
const withUnit = (name, unit) => (unit === "1" ? name : `${name} (${unit})`);
const milliseconds = (lags) => lags.map((lag) => -1000 * lag);
