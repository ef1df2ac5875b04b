// Tests of the circuit and of the attributions: movies that it was not made for, other measures, pixels, recorded interneurons.

async function drawTests(element, { run, cell }) {
  const found = run.discriminating;
  element.querySelector(".movies").textContent = run.movies_text.join(" ");
  element.querySelector(".table").replaceChildren(tableOf(run.movies));
  element.querySelector(".discriminating").hidden = !found;
  if (!found) return;
  element.querySelector(".discriminating .says").textContent = found.text;
  const at = found.predictors.map((_, i) => series(found.rate, i, cell));
  const frame = frameShown(found, at);
  const slider = element.querySelector("#frame");
  slider.max = found.frame_time.length - 1;
  slider.value = frame;
  slider.oninput = () => set({ frame: slider.value });
  slider.setAttribute("aria-valuetext", `${found.frame_time[frame].toFixed(2)} s`);
  element.querySelector("#frame-value").textContent = `${found.frame_time[frame].toFixed(2)} s`;
  drawFrame(element.querySelector(".movie"), found, frame);
  await plot(
    element.querySelector(".plot"),
    found.predictors.map((name, i) =>
      curve(found.time, at[i], name, [muted(), colour(0), colour(3)][i], {
        line: { width: i ? 1.5 : 3, dash: i === 2 ? "dash" : "solid" },
      })
    ),
    {
      height: 280,
      showlegend: true,
      hovermode: "x unified",
      xaxis: axis("time (s)"),
      yaxis: axis(`rate of ${state.cell} (Hz)`),
      margin: { l: 58, r: 14, t: 40, b: 46 },
      shapes: [{
        type: "line",
        x0: found.frame_time[frame],
        x1: found.frame_time[frame],
        yref: "paper",
        y0: 0,
        y1: 1,
        line: { dash: "dot", width: 1.5, color: ink() },
      }],
    },
  );
}

/** The chosen frame, or that of the largest difference between the circuits. */
function frameShown(found, [, circuit, rival]) {
  const chosen = state.frame === null ? NaN : Number(state.frame);
  if (Number.isInteger(chosen) && chosen >= 0 && chosen < found.frame_time.length) return chosen;
  const late = found.frame_time.length - found.time.length;
  return late + circuit.reduce((best, v, i) => (Math.abs(v - rival[i]) > Math.abs(circuit[best] - rival[best]) ? i : best), 0);
}

function drawFrame(canvas, { frames }, frame) {
  const [height, width] = frames.shape;
  [canvas.height, canvas.width] = [height, width];
  const context = canvas.getContext("2d");
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const level = Math.round(Math.min(255, Math.max(0, series(frames, y, x)[frame])));
      context.fillStyle = `rgb(${level},${level},${level})`;
      context.fillRect(x, y, 1, 1);
    }
  }
}

async function drawMeasures(element, { mechanism }) {
  element.querySelector(".table").replaceChildren(...(mechanism.agreement ? [tableOf(mechanism.agreement)] : []));
  const { pixels } = mechanism;
  const r = pixels ? Math.max(0, pixels.cells.indexOf(state.cell)) : 0;
  element.querySelector(".says").textContent =
    `What is attributed is the ${mechanism.target}, from the baseline "${mechanism.from}"; the parts miss at most ${
      shown(mechanism.error, 2)
    } Hz of it.` +
    (pixels
      ? ` Below: ${pixels.labels[r]} (${shown(pixels.change[r])} Hz from the baseline), attributed to the pixels before it.`
      : "");
  element.querySelector(".plot").hidden = !pixels;
  if (!pixels) return;
  const figure = element.querySelector(".plot");
  await plot(figure, [
    map(rows(pixels.space, r), pixels.x, pixels.y, "Hz per pixel", {
      colorbar: scale(figure, "Hz per pixel"),
      hovertemplate: "%{x:.0f}, %{y:.0f} um: %{z:.3f} Hz<extra></extra>",
    }),
    {
      type: "bar",
      x: milliseconds(pixels.lag),
      y: series(pixels.time, r),
      marker: { color: colour(0) },
      xaxis: "x2",
      yaxis: "y2",
      hovertemplate: "%{x:.0f} ms: %{y:.2f} Hz<extra></extra>",
    },
  ], mapAndCourse(figure, 320, "attribution (Hz per frame)"));
}

async function drawInterneurons(element, { run }) {
  const found = run.interneurons;
  element.querySelector(".says").textContent = found.text.join(" ");
  await plot(element.querySelector(".plot"), [
    {
      type: "heatmap",
      z: found.correlation,
      x: found.columns,
      y: found.neurons,
      zmin: -1,
      zmax: 1,
      colorscale: DIVERGING,
      colorbar: { title: { text: "correlation", side: "right" }, thickness: 10, outlinewidth: 0 },
      hovertemplate: "%{y}, %{x}: r = %{z:.2f}<extra></extra>",
    },
    {
      type: "scatter",
      mode: "markers",
      x: found.best,
      y: found.neurons,
      marker: { symbol: "circle-open", size: 11, color: "#000" },
      hoverinfo: "skip",
    },
  ], {
    height: 140 + 18 * found.neurons.length,
    margin: { l: 150, r: 14, t: 20, b: 70 },
    xaxis: axis("channel or factor (ring: most alike in the first half of the time)"),
    yaxis: axis("", { autorange: "reversed" }),
  });
  const lines = found.sets.flatMap((set_, s) =>
    found.levels.map((level, l) => [set_, level, shown(found.mean[l][s], 2), found.null[l][s].map((v) => shown(v, 2)).join(", ")])
  );
  element.querySelector(".table").replaceChildren(
    tableOf({
      caption: "Mean correlation of the best, beside permuted ones",
      header: ["recorded cells", "level", "mean correlation", "permuted: 5 %, median, 95 %"],
      rows: lines,
    }),
  );
}
