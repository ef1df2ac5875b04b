// The stimulus, and under it the response with the parts of all channels stacked on the baseline.

/** What is drawn in one column: a title, a rate, and the parts it is made of, if they are known. */
async function column(context, source) {
  const { probe, cell, shownCondition: at } = context;
  const mechanism = await block(`${state.recording}/run/${source}/${state.probe}`);
  if (mechanism) {
    const run = await block(`${state.recording}/run/${source}`);
    const parts = run.channels.names.map((name, c) => ({ name, colour: colour(c), values: series(mechanism.net, at, cell, c) }));
    return { title: source, rate: series(mechanism.response, at, cell), baseline: series(mechanism.baseline, at, cell), parts };
  }
  const rate = probe.rates[source] ? series(probe.rates[source], at, cell) : null;
  if (source !== "simulated retina" || !probe.truth) return { title: source, rate, baseline: null, parts: [] };
  const parts = probe.truth.pathways.map((name, p) => ({
    name,
    colour: colour(p + 1),
    values: series(probe.truth.parts, at, cell, p),
  }));
  return { title: source, rate, baseline: new Float64Array(probe.time.length).fill(probe.truth.baseline[cell]), parts };
}

/** Areas stacked on the baseline: what excites upwards, what suppresses downwards. */
function stacked({ parts, baseline, rate, title }, time, axes) {
  const traces = [];
  for (const [sign, group] of [[1, "up"], [-1, "down"]]) {
    if (!parts.length) break;
    const own = { x: time, ...axes, mode: "lines", type: "scatter", stackgroup: group + axes.xaxis, hoverinfo: "skip" };
    traces.push({ ...own, y: baseline, line: { width: 0 }, fillcolor: "rgba(0,0,0,0)", showlegend: false });
    for (const part of parts) {
      traces.push({
        ...own,
        y: part.values.map((v) => (sign * v > 0 ? v : 0)),
        name: part.name,
        line: { width: 0, color: part.colour },
        fillcolor: faint(part.colour, sign > 0 ? 0.85 : 0.55),
        showlegend: sign > 0,
      });
    }
  }
  if (baseline) {
    traces.push(
      curve(time, baseline, "baseline", muted(), { ...axes, hoverinfo: "skip", showlegend: false, line: { width: 1 } }),
    );
  }
  if (rate) {
    traces.push(
      curve(time, rate, "rate", ink(), { ...axes, hovertemplate: "%{x:.2f} s: %{y:.1f} Hz" }),
    );
  } else {traces.push({
      ...axes,
      x: [time[0]],
      y: [0],
      mode: "text",
      text: [`${title}: was not shown this probe`],
      textposition: "middle right",
      showlegend: false,
    });}
  return traces;
}

function stimulusTraces(probe, at, axes) {
  const { x, contrast } = probe.stimulus;
  const hover = { ...axes, showlegend: false };
  if (!x) {
    return [
      curve(probe.time, series(contrast, at), "stimulus", ink(), {
        ...hover,
        line: { shape: "hv" },
        hovertemplate: "%{x:.2f} s: %{y:.2f} sd<extra></extra>",
      }),
    ];
  }
  const z = rows(contrast, at);
  const limit = Math.max(...z.map((row) => Math.max(...row.map(Math.abs))), 1e-12);
  return [{
    ...hover,
    type: "heatmap",
    x: probe.time,
    y: x,
    z: z.map((row) => Array.from(row)),
    zmin: -limit,
    zmax: limit,
    colorscale: [[0, "#000"], [1, "#fff"]],
    showscale: false,
    hovertemplate: "%{x:.2f} s, %{y:.0f} um: %{z:.2f} sd<extra></extra>",
  }];
}

async function drawResponse(element, context) {
  const { probe } = context;
  const sources = [`${state.model}/${state.seed}`, ...(state.beside ? [state.beside] : [])];
  const columns = await Promise.all(sources.map((source) => column(context, source)));
  const traces = [];
  const { rows: n, parts } = places(element, columns.map(() => 1), 0.06);
  const layout = {
    height: 110 + 360 * n,
    hovermode: "x",
    showlegend: true,
    margin: { l: 62, r: 14, t: 58, b: 46 },
    annotations: [],
  };
  columns.forEach((found, c) => {
    const [x, lower, upper] = [c ? "x2" : "x", c ? "y3" : "y", c ? "y4" : "y2"];
    const { x: span, y: [bottom, top] } = parts[c];
    const at = (share) => bottom + share * (top - 0.06 * (n - 1) - bottom);
    traces.push(...stimulusTraces(probe, context.shownCondition, { xaxis: x, yaxis: upper }));
    const legend = c ? "legend2" : "legend";
    traces.push(...stacked(found, probe.time, { xaxis: x, yaxis: lower, legend }));
    layout[legend] = { orientation: "h", x: span[0], y: at(1) + 0.06 / n, yanchor: "bottom", font: { size: 11 } };
    const name = (id) => id.replace(/^([xy])/, "$1axis");
    layout[name(x)] = axis("time (s)", { domain: span, anchor: lower, range: [probe.time[0], probe.time.at(-1)] });
    layout[name(lower)] = axis(c && n === 1 ? "" : "rate (Hz)", {
      domain: [at(0), at(0.68)],
      anchor: x,
      ...(c ? { matches: "y" } : {}),
    });
    layout[name(upper)] = axis(c && n === 1 ? "" : (probe.stimulus.x ? "x (um)" : "contrast (sd)"), {
      domain: [at(0.76), at(1)],
      anchor: x,
      ...(c ? { matches: "y2" } : {}),
    });
    layout.annotations.push({
      text: `<b>${found.title}</b>`,
      xref: "paper",
      yref: "paper",
      x: span[0],
      y: at(1),
      xanchor: "left",
      yanchor: "bottom",
      showarrow: false,
    });
  });
  await plot(element, traces, layout);
  element.dataset.columns = columns.length;
  hoverChannels(element, columns[0]);
}

/** Choose the channel whose area the pointer is on. */
function hoverChannels(element, found) {
  element.removeAllListeners?.("plotly_hover");
  element.on("plotly_hover", (event) => {
    const own = event.points.find((point) => point.data.yaxis === "y");
    const vertical = element._fullLayout.yaxis;
    if (!own || !event.event) return;
    const y = vertical.p2d(event.event.clientY - element.getBoundingClientRect().top - vertical._offset);
    const name = partAt(found, own.pointIndex ?? own.pointNumber, y);
    if (name && name !== state.channel) set({ channel: name });
  });
}

/** The part whose area in the stack is at a rate of y at the i-th time. */
function partAt({ parts, baseline }, i, y) {
  const sign = y >= baseline[i] ? 1 : -1;
  let edge = baseline[i];
  for (const part of parts) {
    const size = part.values[i];
    if (sign * size > 0) {
      if (sign * (edge + size - y) >= 0) return part.name;
      edge += size;
    }
  }
  return null;
}
