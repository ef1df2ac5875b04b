// The page: its controls, and its panels, each drawn when it is in sight and what it shows has changed.

const RUN = ["recording", "model", "seed"];
const RESPONSE = [...RUN, "cell", "probe", "condition"];
const PANELS = {
  response: { uses: [...RESPONSE, "beside"], draw: drawResponse, into: ".plot" },
  channels: { uses: [...RUN, "probe"], draw: drawChannels, into: ".cards" },
  channel: { uses: [...RUN, "cell", "probe", "channel"], draw: drawChannel },
  reduced: { uses: [...RESPONSE, "by", "kept"], draw: drawReduced },
  circuit: { uses: [...RUN, "cell", "probe", "kept", "beside"], draw: drawCircuit, into: ".drawings" },
  factors: { uses: RESPONSE, draw: drawFactors },
  readouts: { uses: [...RESPONSE, "readout"], draw: drawReadouts, needs: () => true },
  consensus: { uses: ["recording", "model"], draw: drawConsensus, needs: ({ consensus }) => consensus },
  recordings: {
    uses: ["model"],
    draw: (element, { overRecordings }) => drawConsensus(element, { consensus: overRecordings }),
    needs: ({ overRecordings }) => overRecordings,
  },
  truth: { uses: RESPONSE, draw: drawTruth, needs: ({ run, probe }) => run?.recovery && probe.truth },
  tests: { uses: [...RUN, "cell", "frame"], draw: drawTests },
  measures: { uses: [...RUN, "cell", "probe"], draw: drawMeasures },
  interneurons: { uses: RUN, draw: drawInterneurons, needs: ({ run }) => run?.interneurons },
  prediction: { uses: ["recording", "cell", "stimulus"], draw: drawPrediction, needs: () => true },
  recording: { uses: ["recording", "cell"], draw: drawRecording, needs: () => true },
  training: { uses: ["recording"], draw: drawTraining, needs: () => true },
};
const RECORDINGS = JSON.parse(document.getElementById("names").textContent);
const control = (name) => document.getElementById(name);
const inSight = new Set();
const drawn = {};

/** All data of what is looked at. */
async function contextOf() {
  const name = state.recording;
  const overview = await block(name);
  settle(overview);
  const [probe, prediction, run, mechanism, consensus, overRecordings] = await Promise.all([
    block(`${name}/probe/${state.probe}`),
    block(`${name}/prediction`),
    block(`${name}/run/${state.model}/${state.seed}`),
    block(`${name}/run/${state.model}/${state.seed}/${state.probe}`),
    block(`${name}/consensus/${state.model}`),
    block(`.all/consensus/${state.model}`),
  ]);
  const cell = overview.cells.indexOf(state.cell);
  const conditions = probe.shown.map((i) => probe.conditions[i]);
  if (!conditions.includes(state.condition)) state.condition = oneOf(mechanism?.largest[cell], conditions);
  const condition = probe.conditions.indexOf(state.condition);
  if (run) {
    state.by = oneOf(state.by, Object.keys(run.order).reverse());
    if (!run.channels.names.includes(state.channel)) state.channel = run.channels.names[run.channels.rank.indexOf(1)];
  }
  return {
    overview,
    probe,
    prediction,
    run,
    mechanism,
    consensus,
    overRecordings,
    condition,
    shownCondition: probe.shown.indexOf(condition),
    cell,
  };
}

let drawing = false;
let again = false;

/** Bring everything in sight up to date; a change that comes meanwhile is drawn after it. */
async function render() {
  again = true;
  if (drawing) return;
  drawing = true;
  document.body.dataset.busy = "true";
  try {
    while (again) {
      again = false;
      const context = await contextOf();
      drawControls(context);
      for (const [id, panel] of Object.entries(PANELS)) await drawPanel(id, panel, context);
    }
    writeAddress();
  } finally {
    drawing = false;
    document.body.dataset.busy = "false";
  }
}

async function drawPanel(id, { uses, draw, into, needs = ({ run }) => run }, context) {
  const section = control(id);
  section.hidden = !needs(context);
  const now = JSON.stringify([...uses.map((key) => state[key]), dark(), innerWidth < 760]);
  if (section.hidden || !inSight.has(id) || drawn[id] === now) return;
  await draw(into ? section.querySelector(into) : section, context);
  drawn[id] = now;
}

/** Change what is looked at. Channels that were kept belong to a run: they are forgotten with it. */
function set(changes) {
  const otherRun = RUN.some((key) => key in changes && changes[key] !== state[key]);
  Object.assign(state, otherRun ? { kept: null, frame: null } : {}, changes);
  return render();
}

function fill(select, options, chosen) {
  const now = JSON.stringify(options);
  if (select.dataset.options !== now) {
    select.replaceChildren(...options.map(([value, name]) => html("option", { value }, name)));
    select.dataset.options = now;
  }
  select.value = chosen;
}

function drawControls({ overview, probe, shownCondition }) {
  const same = (names) => names.map((name) => [name, name]);
  const explained = overview.runs.filter((run) => run.explained);
  fill(control("set-recording"), same(RECORDINGS), state.recording);
  fill(control("set-model"), same([...new Set(explained.map((run) => run.model))]), state.model);
  fill(control("set-seed"), same(explained.filter((run) => run.model === state.model).map((run) => run.seed)), state.seed);
  fill(control("set-cell"), same(overview.cells), state.cell);
  fill(control("set-probe"), same(overview.probes.map((p) => p.name)), state.probe);
  fill(control("set-beside"), [["", "nothing"], ...besides(overview)], state.beside);
  const slider = control("set-condition");
  [slider.max, slider.value, slider.disabled] = [probe.shown.length - 1, shownCondition, probe.shown.length < 2];
  slider.setAttribute("aria-valuetext", state.condition);
  const left = probe.conditions.length - probe.shown.length;
  control("condition-value").textContent = state.condition +
    (left ? ` (${left} of ${probe.conditions.length} conditions are not on the page)` : "");
  slider.oninput = () => set({ condition: probe.conditions[probe.shown[slider.value]] });
  for (const article of document.querySelectorAll("article.summary")) {
    article.hidden = article.dataset.recording !== state.recording;
  }
  document.title = `retmech: ${state.recording}`;
}

/** The next or previous option of a control. */
function step(name, by) {
  const select = control(`set-${name}`);
  const n = select.options.length;
  if (n) set({ [name]: select.options[(select.selectedIndex + by + n) % n].value });
}

function stepCondition(by) {
  const slider = control("set-condition");
  slider.value = Number(slider.value) + by;
  slider.oninput();
}

const SHORTCUTS = {
  r: "recording",
  m: "model",
  s: "seed",
  c: "cell",
  p: "probe",
  b: "beside",
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const name = SHORTCUTS[event.key.toLowerCase()];
  if (name) step(name, event.key === event.key.toLowerCase() ? 1 : -1);
  else if (event.key === "," || event.key === ".") stepCondition(event.key === "." ? 1 : -1);
  else if (event.key === "?") control("help").showModal();
  else return;
  event.preventDefault();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  control("theme").setAttribute("aria-pressed", String(theme === "dark"));
  render();
}

function start() {
  if (typeof DecompressionStream === "undefined") {
    control("panels").textContent =
      "This browser is too old for the explorer (it needs DecompressionStream, which all have since 2023).";
    return;
  }
  readAddress();
  state.recording = oneOf(state.recording, RECORDINGS);
  for (const name of ["recording", "model", "seed", "cell", "probe", "beside"]) {
    control(`set-${name}`).addEventListener("change", (event) => set({ [name]: event.target.value }));
  }
  control("by").addEventListener("change", (event) => set({ by: event.target.value }));
  control("readout").addEventListener("change", (event) => set({ readout: event.target.value }));
  control("stimulus").addEventListener("change", (event) => set({ stimulus: event.target.value }));
  control("theme").addEventListener("click", () => setTheme(dark() ? "light" : "dark"));
  control("show-help").addEventListener("click", () => control("help").showModal());
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", () => {
    readAddress();
    state.recording = oneOf(state.recording, RECORDINGS);
    render();
  });
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) entry.isIntersecting ? inSight.add(entry.target.id) : inSight.delete(entry.target.id);
    render();
  }, { rootMargin: "150px" });
  addEventListener("resize", render);
  for (const id of Object.keys(PANELS)) watcher.observe(control(id));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => setTheme(event.matches ? "dark" : "light"));
  setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

start();
