// For simulated recordings: the true pathways' parts in the response beside what was found for them.

async function drawTruth(element, { run, mechanism, probe, cell, shownCondition }) {
  const { recovery } = run;
  element.querySelector(".says").textContent = recovery.text.join(" ");
  const names = { channel: "single channels", group: "groups of channels", factor: "factors" };
  const bars = Object.entries(recovery.levels).map(([level, mean], i) => ({
    type: "bar",
    x: recovery.probes,
    y: mean,
    name: names[level] ?? level,
    marker: { color: colour(i) },
    hovertemplate: "%{y:.2f}",
  }));
  bars.push({
    type: "scatter",
    mode: "markers",
    x: recovery.probes,
    y: recovery.untrained,
    name: "untrained network",
    marker: { symbol: "x", size: 9, color: ink() },
  });
  await plot(element.querySelector(".scores"), bars, {
    height: 320,
    showlegend: true,
    barmode: "group",
    margin: { l: 58, r: 14, t: 40, b: 60 },
    xaxis: axis(""),
    yaxis: axis("mean correlation", { range: [Math.min(0, recovery.random[0], ...recovery.untrained) - 0.05, 1.05] }),
    shapes: [{
      type: "rect",
      xref: "paper",
      x0: 0,
      x1: 1,
      y0: recovery.random[0],
      y1: recovery.random[2],
      fillcolor: faint("#888888", 0.25),
      line: { width: 0 },
      layer: "below",
    }],
  });
  await drawParts(element.querySelector(".parts"), { run, mechanism, probe, cell, shownCondition });
  element.querySelector(".table").replaceChildren(...recovery.tables.map(tableOf));
}

function drawParts(element, { run, mechanism, probe, cell, shownCondition }) {
  const { recovery, channels } = run;
  const p = recovery.probes.indexOf(state.probe);
  const { truth } = probe;
  const layout = {
    height: 110 + 130 * truth.pathways.length,
    margin: { l: 62, r: 14, t: 30, b: 46 },
    annotations: [],
    showlegend: true,
  };
  const n = truth.pathways.length;
  const traces = truth.pathways.flatMap((pathway, i) => {
    const group = channels.names.flatMap((
      _,
      c,
    ) => (recovery.pathway_of_channel[p][c] === pathway ? [series(mechanism.net, shownCondition, cell, c)] : []));
    const names = channels.names.filter((_, c) => recovery.pathway_of_channel[p][c] === pathway);
    const id = i ? `y${i + 1}` : "y";
    const top = 1 - i / n;
    layout[`yaxis${i ? i + 1 : ""}`] = axis("Hz", { domain: [top - 0.78 / n, top - 0.04], anchor: "x" });
    const r = recovery.correlation[p][cell][i];
    layout.annotations.push({
      text: `<b>${pathway}</b>: ${names.join(", ") || "no channel"}${r === null ? "" : `, r = ${shown(r, 2)}`}`,
      xref: "paper",
      yref: "paper",
      x: 0,
      y: top - 0.03,
      xanchor: "left",
      yanchor: "bottom",
      showarrow: false,
    });
    return [
      curve(probe.time, series(truth.parts, shownCondition, cell, i), "true part", colour(i + 1), {
        yaxis: id,
        line: { width: 5 },
        opacity: 0.55,
        showlegend: i === 0,
      }),
      curve(probe.time, sum(group, probe.time.length), "channels found for it", ink(), {
        yaxis: id,
        line: { width: 1.4 },
        showlegend: i === 0,
      }),
    ];
  });
  layout.xaxis = axis("time (s)", { anchor: n > 1 ? `y${n}` : "y" });
  return plot(element, traces, layout);
}
