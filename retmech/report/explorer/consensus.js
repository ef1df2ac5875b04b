// What comes back in other seeds, or in other recordings.

async function drawConsensus(element, { consensus: found }) {
  const grey = muted();
  const labels = [];
  const [low, high, middle, mean] = [[], [], [], []];
  for (const item of ["channel", "factor"]) {
    for (let a = 0; a < found.runs.length; a++) {
      for (let b = a + 1; b < found.runs.length; b++) {
        if (found[item].p_value[a][b] === null) continue;
        const known = found[item].similarity[a][b].filter((v) => v !== null);
        labels.push(`${item}s of ${found.runs[a]}, ${found.runs[b]}`);
        low.push(found[item].null[0][a][b]);
        middle.push(found[item].null[1][a][b]);
        high.push(found[item].null[2][a][b]);
        mean.push(known.reduce((s, x) => s + x, 0) / known.length);
      }
    }
  }
  await plot(element.querySelector(".pairs"), [
    {
      type: "bar",
      orientation: "h",
      y: labels,
      base: low,
      x: high.map((h, i) => h - low[i]),
      marker: { color: faint("#888888", 0.4) },
      name: "shuffled, 5-95 %",
      hoverinfo: "skip",
    },
    {
      type: "scatter",
      mode: "markers",
      y: labels,
      x: middle,
      name: "shuffled, median",
      marker: { symbol: "line-ns-open", size: 14, color: grey },
    },
    { type: "scatter", mode: "markers", y: labels, x: mean, name: "matched", marker: { size: 11, color: colour(0) } },
  ], {
    height: 130 + 26 * labels.length,
    showlegend: true,
    margin: { l: 190, r: 14, t: 40, b: 46 },
    xaxis: axis("mean similarity", { range: [-0.02, 1.02] }),
    yaxis: axis("", { autorange: "reversed" }),
  });
  const types = found.types.map((type, i) =>
    curve(
      milliseconds(found.lag),
      series(found.filter, i),
      `type ${type}${found.counts[i] ? "" : " (no part in the responses)"}`,
      colour(i),
      { line: { dash: found.counts[i] ? "solid" : "dot" } },
    )
  );
  const numberOf = [
    {
      type: "bar",
      x: found.count,
      y: found.probability,
      name: "best in bootstrap draws",
      marker: { color: colour(4) },
      xaxis: "x2",
      yaxis: "y2",
      showlegend: false,
    },
    curve(found.count, found.silhouette, "mean silhouette", ink(), {
      mode: "lines+markers",
      xaxis: "x2",
      yaxis: "y2",
      showlegend: false,
    }),
  ];
  const figure = element.querySelector(".types");
  const { rows: n, parts: [left, right] } = places(figure, [5, 4], 0.1);
  await plot(figure, [...types, ...numberOf], {
    height: 330 * n,
    showlegend: true,
    margin: { l: 58, r: 14, t: 60, b: 46 },
    xaxis: axis("time before the response (ms)", { domain: left.x }),
    yaxis: axis("temporal filter (peak = 1)", { domain: left.y }),
    xaxis2: axis("number of cell types", { domain: right.x, anchor: "y2", dtick: 1 }),
    yaxis2: axis("share of draws (bars); silhouette", { domain: right.y, anchor: "x2" }),
  });
  const header = ["run", ...found.channels, ...found.types.map((type) => `share of type ${type}`)];
  const lines = found.runs.map((
    name,
    i,
  ) => [
    name,
    ...found.cell_type[i].map((type) => (type ? `type ${type}` : "none")),
    ...found.share[i].map((share) => `${Math.round(100 * share)} %`),
  ]);
  element.querySelector(".table").replaceChildren(
    tableOf({ caption: "Cell type of each channel, and each type's share of the attributions", header, rows: lines }),
  );
}
