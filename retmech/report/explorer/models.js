// The recording, the training, and the prediction of what was recorded.

async function drawPrediction(element, { overview, prediction, cell }) {
  const found = prediction[state.stimulus];
  fill(element.querySelector("#stimulus"), overview.classes.map((name) => [name, name]), state.stimulus);
  const runs = Object.keys(found.runs);
  const traces = [
    curve(found.time, series(found.recorded, cell), "recorded", muted(), {
      fill: "tozeroy",
      fillcolor: faint("#888888", 0.35),
      line: { width: 0.5 },
    }),
    ...runs.map((name, i) => curve(found.time, series(found.runs[name], cell), name, colour(i), { line: { width: 1.3 } })),
  ];
  await plot(element.querySelector(".rates"), traces, {
    height: 300,
    showlegend: true,
    hovermode: "x unified",
    xaxis: axis("time in the test movie (s)"),
    yaxis: axis(`rate of ${state.cell} (Hz)`),
    margin: { l: 58, r: 14, t: 40, b: 46 },
  });
  const scores = overview.performance[state.stimulus];
  const bars = runs.map((name, i) => ({
    type: "bar",
    orientation: "h",
    y: [name],
    x: [scores.runs[name].r[cell]],
    marker: { color: colour(i) },
    hovertemplate: "r = %{x:.2f}<extra></extra>",
    error_x: {
      symmetric: false,
      array: [scores.runs[name].interval[1][cell] - scores.runs[name].r[cell]],
      arrayminus: [scores.runs[name].r[cell] - scores.runs[name].interval[0][cell]],
      color: ink(),
    },
  }));
  const [low, high] = scores.interval.map((quantile) => quantile[cell]);
  const band = low === null
    ? []
    : [{ type: "rect", x0: low, x1: high, yref: "paper", y0: 0, y1: 1, fillcolor: faint("#888888", 0.3), line: { width: 0 } }];
  const ceiling = scores.ceiling[cell];
  await plot(element.querySelector(".scores"), bars, {
    height: 90 + 34 * runs.length,
    margin: { l: 100, r: 14, t: 20, b: 46 },
    xaxis: axis("correlation with the trial average (95 % interval; band: noise ceiling)", { range: [0, 1.02] }),
    yaxis: axis("", { autorange: "reversed" }),
    shapes: [
      ...band,
      ...(ceiling === null
        ? []
        : [{ type: "line", x0: ceiling, x1: ceiling, yref: "paper", y0: 0, y1: 1, line: { color: ink(), width: 2 } }]),
    ],
  });
  element.querySelector(".table").replaceChildren(tableOf(performanceTable(overview, scores)));
}

function performanceTable({ cells }, scores) {
  const mean = (v) => shown(v.reduce((s, x) => s + x, 0) / v.length, 2);
  const lines = Object.entries(scores.runs).map(([name, own]) => [
    name,
    own.trained ? "yes" : "no",
    ...own.r.map((r, k) => `${shown(r, 2)} (${shown(own.interval[0][k], 2)} to ${shown(own.interval[1][k], 2)})`),
    mean(own.r),
    mean(own.explained),
  ]);
  lines.push([
    "noise ceiling",
    "",
    ...scores.ceiling.map((c, k) => `${shown(c, 2)} (${shown(scores.interval[0][k], 2)} to ${shown(scores.interval[1][k], 2)})`),
    mean(scores.ceiling),
    "1",
  ]);
  return {
    caption: `Correlation with the trial average of ${state.stimulus} (95 % interval)`,
    header: ["run", "trained on it", ...cells.map((c) => `r, ${c}`), "mean r", "mean explainable variance"],
    rows: lines,
  };
}

async function drawRecording(element, { overview }) {
  const { fields } = overview;
  const cell = fields.cells.indexOf(state.cell);
  element.querySelector(".says").textContent = `${overview.text} The receptive field of ${state.cell}: ${fields.name}, ${
    Math.round(1000 * fields.lag[cell])
  } ms before the response, and its time course at the peak.`;
  const figure = element.querySelector(".plot");
  await plot(figure, [
    map(rows(fields.map, cell), fields.x, fields.y, "contrast (sd)", {
      colorbar: scale(figure, "contrast (sd)"),
      hovertemplate: "%{x:.0f}, %{y:.0f} um: %{z:.3f} sd<extra></extra>",
    }),
    curve(milliseconds(fields.lags), series(fields.course, cell), state.cell, colour(0), {
      xaxis: "x2",
      yaxis: "y2",
      hovertemplate: "%{x:.0f} ms: %{y:.3f} sd",
    }),
  ], mapAndCourse(figure, 320, "contrast (sd)"));
  element.querySelector(".table").replaceChildren(...overview.tables.map(tableOf));
}

async function drawTraining(element, { overview }) {
  const traces = Object.entries(overview.training).flatMap(([name, own], i) => {
    const best = own.epoch.indexOf(own.epoch[own.best - 1]);
    return [
      curve(own.epoch, own.train_loss, `${name}, training`, colour(i), {
        line: { dash: "dot" },
        legendgroup: name,
        showlegend: false,
      }),
      curve(own.epoch, own.validation_loss, name, colour(i), { legendgroup: name }),
      {
        type: "scatter",
        mode: "markers",
        x: [own.epoch[best]],
        y: [own.validation_loss[best]],
        name: `${name}, kept`,
        marker: { color: colour(i), size: 9 },
        legendgroup: name,
        showlegend: false,
      },
      curve(own.epoch, own.validation_correlation, name, colour(i), {
        xaxis: "x2",
        yaxis: "y2",
        legendgroup: name,
        showlegend: false,
      }),
    ];
  });
  const figure = element.querySelector(".plot");
  const { rows: n, parts: [left, right] } = places(figure, [1, 1], 0.12);
  await plot(figure, traces, {
    height: 320 * n,
    showlegend: true,
    margin: { l: 58, r: 14, t: 40, b: 46 },
    xaxis: axis("epoch", { domain: left.x }),
    yaxis: axis("Poisson loss (dotted: training)", { domain: left.y }),
    xaxis2: axis("epoch", { domain: right.x, anchor: "y2" }),
    yaxis2: axis("validation r, single trial", { domain: right.y, anchor: "x2" }),
  });
}
