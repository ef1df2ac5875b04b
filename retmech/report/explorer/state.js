// What is looked at: one object, kept in the page's address, so that a link shows the same.

const KEYS = [
  "recording",
  "model",
  "seed",
  "cell",
  "probe",
  "condition",
  "beside",
  "by",
  "kept",
  "channel",
  "readout",
  "stimulus",
  "frame",
];
const state = Object.fromEntries(KEYS.map((key) => [key, null]));

/** Read the address; what it does not say, or says wrongly, is chosen in `settle`. */
function readAddress() {
  const found = new URLSearchParams(location.hash.slice(1));
  for (const key of KEYS) state[key] = found.get(key);
}

let writing = null;

/** Write the address, but not at every step of a slider: browsers allow only so many changes. */
function writeAddress() {
  clearTimeout(writing);
  writing = setTimeout(() => {
    const kept = KEYS.filter((key) => state[key] !== null && state[key] !== "").map((key) => [key, state[key]]);
    history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
  }, 200);
}

function oneOf(value, allowed) {
  return allowed.includes(value) ? value : allowed[0] ?? null;
}

/** Make the state fit the recording: every choice is one that there is. */
function settle(overview) {
  const explained = overview.runs.filter((run) => run.explained);
  state.model = oneOf(state.model, [...new Set(explained.map((run) => run.model))]);
  state.seed = oneOf(state.seed, explained.filter((run) => run.model === state.model).map((run) => run.seed));
  state.cell = oneOf(state.cell, [overview.start.cell, ...overview.cells]);
  state.probe = oneOf(state.probe, [overview.start.probe, ...overview.probes.map((probe) => probe.name)]);
  state.stimulus = oneOf(state.stimulus, overview.classes);
  state.beside = oneOf(state.beside, ["", ...besides(overview).map(([value]) => value)]);
}

/** What can stand beside the run: other runs, baselines, retinas. */
function besides(overview) {
  const own = `${state.model}/${state.seed}`;
  const runs = overview.runs.filter((run) => run.name !== own).map((run) => [run.name, run.name]);
  return [...overview.retinas.map((name) => [name, name]), ...runs];
}
