// Faithfulness: how well a few channels alone give the response, and the response that the chosen ones give.

/** Channels that are kept: those that were chosen, or the circuit's. */
function keptOf({ channels }) {
  if (state.kept === null) return channels.names.filter((_, c) => channels.in_circuit[c]);
  return state.kept.split(" ").filter((name) => channels.names.includes(name));
}

function reducedResponse(run, mechanism, condition, cell) {
  const length = mechanism.net.shape.at(-1);
  const kept = keptOf(run).map((name) => series(mechanism.net, condition, cell, run.channels.names.indexOf(name)));
  return sum([series(mechanism.baseline, condition, cell), ...kept], length);
}

/** Correlation of the reduced with the full response over all conditions that are on the page, and the variance explained. */
function faithfulness(run, mechanism, cell) {
  const conditions = Array.from({ length: mechanism.net.shape[0] }, (_, i) => i);
  const reduced = conditions.flatMap((i) => Array.from(reducedResponse(run, mechanism, i, cell)));
  const full = conditions.flatMap((i) => Array.from(series(mechanism.response, i, cell)));
  const mean = full.reduce((s, x) => s + x, 0) / full.length;
  const left = full.reduce((s, x, i) => s + (x - reduced[i]) ** 2, 0);
  const all = full.reduce((s, x) => s + (x - mean) ** 2, 0);
  return { r: correlation(reduced, full), explained: all > 0 ? 1 - left / all : NaN };
}

function drawReducedControls(element, { run }) {
  const kept = keptOf(run);
  const order = run.order[state.by] ?? [];
  const slider = element.querySelector("#kept");
  slider.max = run.channels.names.length;
  slider.value = kept.length;
  slider.setAttribute("aria-valuetext", `${kept.length} channels: ${kept.join(", ")}`);
  element.querySelector("#kept-value").textContent = `${kept.length} of ${run.channels.names.length}`;
  slider.oninput = () => set({ kept: order.slice(0, Number(slider.value)).join(" ") });
  element.querySelector("#chips").replaceChildren(
    ...run.channels.names.map((name, c) =>
      html("button", {
        type: "button",
        class: "chip",
        "aria-pressed": String(kept.includes(name)),
        style: `--own: ${colour(c)}`,
        onclick: () => toggle(run, name),
      }, name)
    ),
    html("button", { type: "button", class: "chip", onclick: () => set({ kept: null }) }, "the circuit"),
  );
}

function toggle(run, name) {
  const kept = keptOf(run);
  const now = run.channels.names.filter((other) => (other === name) !== kept.includes(other));
  set({ kept: now.join(" ") });
}

async function drawReduced(element, context) {
  const { run, mechanism, cell } = context;
  drawReducedControls(element, context);
  const { r, explained } = faithfulness(run, mechanism, cell);
  element.querySelector(".says").textContent =
    `${keptOf(run).join(", ") || "No channel"}: r = ${
      Number.isFinite(r) ? r.toFixed(2) : "none"
    } with ${state.cell}'s whole response to ` +
    `${state.probe} over ${context.probe.shown.length} conditions, ${
      Number.isFinite(explained) ? Math.round(100 * explained) : 0
    } % of its variance explained.`;
  await Promise.all([
    drawCurve(element.querySelector(".curve"), context, r),
    drawRebuilt(element.querySelector(".rebuilt"), context),
  ]);
}

function drawCurve(element, { run, cell }, r) {
  const p = run.probes.indexOf(state.probe);
  const n = run.channels.names.map((_, i) => i + 1);
  const at = (name) => run.curves[name][p][cell];
  const [low, middle, high] = run.curves.random.map((quantile) => quantile[p][cell]);
  const grey = muted();
  const traces = [
    curve(n, low, "", grey, { line: { width: 0 }, hoverinfo: "skip", showlegend: false }),
    curve(n, high, "random channels, 5-95 %", grey, {
      line: { width: 0 },
      fill: "tonexty",
      fillcolor: faint("#888888", 0.25),
      hoverinfo: "skip",
    }),
    curve(n, middle, "random, median", grey, { line: { dash: "dash", width: 1 } }),
    ...Object.keys(run.order).map((by, i) =>
      curve(n, at(by), by === "greedy" ? "greedy" : `by ${by}`, colour(i), { mode: "lines+markers" })
    ),
    curve(n, at("fixed"), "greedy, fixed weights", colour(2), { line: { dash: "dot" } }),
    curve(n, at("ablation"), "network without these", colour(3), {
      mode: "lines+markers",
      marker: { symbol: "x" },
      line: { dash: "dot" },
    }),
    {
      type: "scatter",
      mode: "markers",
      x: [keptOf(run).length],
      y: [r],
      name: "kept now",
      marker: { size: 13, symbol: "star", color: ink() },
    },
  ];
  return plot(element, traces, {
    height: 380,
    showlegend: true,
    hovermode: "closest",
    margin: { l: 58, r: 14, t: 20, b: 130 },
    legend: { orientation: "h", x: 0, y: -0.22, yanchor: "top", font: { size: 11 } },
    xaxis: axis("channels kept", { dtick: Math.ceil(n.length / 12) }),
    yaxis: axis("r with the whole response", { range: [Math.min(-0.1, ...low) - 0.05, 1.05] }),
    shapes: [{
      type: "line",
      xref: "paper",
      x0: 0,
      x1: 1,
      y0: run.asked,
      y1: run.asked,
      line: { dash: "dot", width: 1, color: grey },
    }],
  });
}

function drawRebuilt(element, { run, mechanism, probe, cell, shownCondition }) {
  const time = probe.time;
  const traces = [
    curve(time, series(mechanism.response, shownCondition, cell), "whole model", ink(), { line: { width: 3 }, opacity: 0.55 }),
    curve(time, reducedResponse(run, mechanism, shownCondition, cell), "kept channels", colour(3), { line: { width: 1.8 } }),
  ];
  return plot(element, traces, {
    height: 380,
    showlegend: true,
    hovermode: "x unified",
    margin: { l: 58, r: 14, t: 40, b: 46 },
    xaxis: axis("time (s)"),
    yaxis: axis("rate (Hz)"),
  });
}
