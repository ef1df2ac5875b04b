// What physiologists read from the responses, beside what they found.

async function drawReadouts(element, { probe, cell, condition }) {
  element.querySelector(".says").textContent =
    `Found in retinas: ${probe.found} (${probe.source}) A cell matches by this criterion: ${probe.criterion}. ` +
    probe.readouts.map((readout) => `${readout.name}: ${readout.meaning}.`).join(" ");
  element.querySelector(".table").replaceChildren(tableOf(readoutTable(probe, cell)));
  const select = element.querySelector("#readout");
  const chosen = probe.varying.find((readout) => readout.name === state.readout) ?? probe.varying[0];
  select.closest("label").hidden = !chosen;
  element.querySelector(".plot").hidden = !chosen;
  if (!chosen) return;
  fill(select, probe.varying.map((readout) => [readout.name, readout.name]), chosen.name);
  await drawSweep(element.querySelector(".plot"), probe, chosen, cell, condition);
}

function readoutTable(probe, cell) {
  const sources = Object.keys(probe.verdicts);
  const header = ["read from", ...probe.readouts.map((readout) => withUnit(readout.name, readout.unit)), "verdict"];
  const lines = sources.map((source) => [
    source,
    ...probe.readouts.map((readout) => {
      const value = readout.values[source]?.[cell];
      const error = readout.errors[source]?.[cell];
      if (value === undefined) return "";
      return value === null ? "undefined" : shown(value) + (error === null || error === undefined ? "" : ` ± ${shown(error, 2)}`);
    }),
    probe.verdicts[source][cell],
  ]);
  if (probe.readouts.some((readout) => readout.expected !== null)) {
    lines.push([
      "expected of retinas",
      ...probe.readouts.map((readout) => (readout.expected === null ? "" : shown(readout.expected))),
      "",
    ]);
  }
  return { caption: `Readouts of ${state.cell} (± standard error)`, header, rows: lines };
}

/** A readout against the sweep that most of its values have. */
function drawSweep(element, probe, readout, cell, condition) {
  const sources = Object.keys(readout.values);
  const known = (sweep) =>
    sweep.values.filter((x, i) => x !== null && sources.some((s) => readout.values[s][cell][i] !== null)).length;
  const sweep = probe.sweeps.reduce((best, other) => (known(other) > known(best) ? other : best));
  const order = sweep.values.map((x, i) => [x, i]).filter(([x]) => x !== null).sort((a, b) => a[0] - b[0]).map(([, i]) => i);
  const own = `${state.model}/${state.seed}`;
  const traces = sources.map((source, i) =>
    curve(
      order.map((c) => sweep.values[c]),
      order.map((c) => readout.values[source][cell][c]),
      source,
      source === own ? ink() : colour(i),
      { mode: "lines+markers", line: { width: source === own ? 3 : 1.4, dash: source.includes("retina") ? "dash" : "solid" } },
    )
  );
  const here = sweep.values[condition];
  return plot(element, traces, {
    height: 340,
    showlegend: true,
    margin: { l: 62, r: 14, t: 64, b: 46 },
    xaxis: axis(withUnit(sweep.name, sweep.unit)),
    yaxis: axis(withUnit(readout.name, readout.unit)),
    shapes: here === null
      ? []
      : [{ type: "line", x0: here, x1: here, yref: "paper", y0: 0, y1: 1, line: { dash: "dot", width: 1, color: muted() } }],
  });
}
