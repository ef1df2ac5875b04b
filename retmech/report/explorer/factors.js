// The factors: which channels they are made of, and when they act.

async function drawFactors(element, { run, mechanism, probe, cell, shownCondition }) {
  const { factors, channels } = run;
  element.querySelector(".says").textContent = run.factors_text.join(" ");
  const loadings = factors.names.flatMap((name, k) =>
    [0, 1].map((sign) => ({
      type: "bar",
      x: channels.names,
      y: factors.loading[k][sign].map((v) => (sign ? -v : v)),
      name: sign ? `${name}, suppression` : name,
      legendgroup: name,
      offsetgroup: name,
      showlegend: !sign,
      marker: { color: faint(colour(k), sign ? 0.5 : 1), pattern: { shape: sign ? "/" : "" } },
      hovertemplate: "%{x}: %{y:.3f}",
    }))
  );
  const active = factors.names.map((name, k) =>
    curve(probe.time, series(mechanism.activation, shownCondition, cell, k), name, colour(k), { showlegend: false })
  );
  await plot(element.querySelector(".loadings"), loadings, {
    height: 300,
    showlegend: true,
    barmode: "relative",
    xaxis: axis("channel"),
    yaxis: axis("share (suppression down)"),
    margin: { l: 58, r: 14, t: 40, b: 46 },
  });
  await plot(element.querySelector(".activations"), active, {
    height: 300,
    hovermode: "x unified",
    xaxis: axis("time (s)"),
    yaxis: axis(`activation in ${state.cell} (Hz)`),
  });
  await drawRanks(element.querySelector(".ranks"), factors);
}

function drawRanks(element, factors) {
  const used = factors.names.length;
  const grey = muted();
  const names = { nmf: "NMF", pca: "PCA", kmeans: "k-means", dictionary: "sparse dictionary" };
  const traces = [
    {
      ...curve(factors.rank, factors.held_out, "entries hidden", colour(3), { mode: "lines+markers" }),
      error_y: { array: factors.held_out_error, width: 3 },
    },
    curve(factors.rank, factors.rank.map(() => factors.null), "their means alone", grey, { line: { dash: "dot" } }),
    curve(factors.rank, factors.fitted, "entries fitted", grey, { line: { dash: "dash" } }),
    curve(factors.rank, factors.restarts, "agreement of restarts", colour(0), {
      xaxis: "x2",
      yaxis: "y2",
      mode: "lines+markers",
    }),
    curve(factors.rank, factors.halves, "agreement of halves of the time", colour(2), {
      xaxis: "x2",
      yaxis: "y2",
      mode: "lines+markers",
      marker: { symbol: "square" },
    }),
    ...Object.entries(factors.times).map(([name, error], i) =>
      curve(factors.rank, error, `times hidden, ${names[name] ?? name}`, colour(i + 4), {
        xaxis: "x3",
        yaxis: "y3",
        line: { dash: name === "pca" ? "dash" : "solid" },
      })
    ),
  ];
  const { rows: n, parts: [left, middle, right] } = places(element, [1, 1, 1], 0.09);
  return plot(element, traces, {
    height: 140 + 200 * n,
    showlegend: true,
    margin: { l: 58, r: 14, t: 20, b: 120 },
    legend: { orientation: "h", x: 0, y: -0.25 / n, yanchor: "top", font: { size: 11 } },
    xaxis: axis("factors", { domain: left.x, dtick: 1 }),
    yaxis: axis("relative error", { domain: left.y, rangemode: "tozero" }),
    xaxis2: axis("factors (dotted: used)", { domain: middle.x, dtick: 1, anchor: "y2" }),
    yaxis2: axis("agreement (cosine)", { domain: middle.y, anchor: "x2", range: [0, 1.05] }),
    xaxis3: axis("factors", { domain: right.x, dtick: 1, anchor: "y3" }),
    yaxis3: axis("relative error", { domain: right.y, anchor: "x3", rangemode: "tozero" }),
    shapes: ["x", "x2", "x3"].map((x) => ({
      type: "line",
      xref: x,
      yref: `${x.replace("x", "y")} domain`,
      x0: used,
      x1: used,
      y0: 0,
      y1: 1,
      line: { dash: "dot", width: 1, color: grey },
    })),
  });
}
