# Helpers of the rules; no rules here. The config is validated once, and rules see only what is validated.

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from retmech import config as retmech_config
from retmech import srun
from retmech.errors import RetmechError
from retmech.fit import check_recordings
from retmech.insilico.description import circuit_path
from retmech.launch import begin
from retmech.provenance import canonical_json, file_digest
from retmech.provenance import code_digest as digest_of
from retmech.runs import REMOTE, RUN, check
from retmech.terminal import advice


def in_one_sentence(function, *arguments):
    """Call a function whose errors Snakemake shall print as they are."""
    try:
        return function(*arguments)
    except RetmechError as error:
        raise WorkflowError(str(error)) from None


def begin_unless_begun():
    """Let jobs know which run they belong to, if `retmech run` has not."""
    if RUN not in os.environ:
        in_one_sentence(begin, Path.cwd())


# A job on another machine goes on without its run, until there is another: before a job Snakemake deletes its outputs, which may
# be those of the other run by now.
if workflow.remote_exec:
    os.environ[REMOTE] = "1"
    in_one_sentence(check)

in_one_sentence(retmech_config.check_names, map(Path, workflow.configfiles))
CONFIG = in_one_sentence(retmech_config.validate, config)
in_one_sentence(retmech_config.check_files, CONFIG)
if workflow.is_main_process:
    in_one_sentence(check_recordings, CONFIG)

# Sorted: the order of keys in the config changes no result.
RECORDINGS = sorted(CONFIG["recordings"])
SEEDS = sorted(CONFIG["seeds"])
MODELS = sorted(CONFIG["train"])
PROBES = sorted(CONFIG["synthesize"])
SIMULATED = [r for r in RECORDINGS if retmech_config.retina_of(CONFIG, r)]
SHARED_MODELS = [m for m in MODELS if CONFIG["train"][m]["shared"]]
# What is only there to be compared with is not taken apart.
BASELINES = CONFIG["evaluate"]["baselines"]
CIRCUIT_MODELS = [m for m in MODELS if retmech_config.interneurons(CONFIG, m) and m not in BASELINES]


wildcard_constraints:
    recording="[a-z0-9_-]+",
    retina="[a-z0-9_-]+",
    model="[a-z0-9_-]+",
    probe="[a-z0-9_-]+",
    seed="[0-9]+",


def stage(section, wildcard=None):
    """The validated settings of a stage as one canonical string: a swap of values is seen, the order of keys is not."""

    def settings(wildcards):
        entry = CONFIG[section]
        return canonical_json(entry[wildcards[wildcard]] if wildcard else entry)

    return settings


def architecture(model):
    """The module of a model's architecture."""
    return f"models.architectures.{CONFIG['train'][model]['architecture']}"


def code(section):
    """A digest of the modules that a stage uses: those it imports, and those its wildcards choose by name."""

    def digest(wildcards):
        modules = [f"stages.{section}"]
        chosen = dict(wildcards.items())
        if section == "ingest":
            modules.append(f"readers.{CONFIG['ingest'][chosen['recording']]['reader']}")
        if section == "evaluate":
            modules += [architecture(model) for model in compared(chosen["model"])]
        elif "model" in chosen:
            modules.append(architecture(chosen["model"]))
        if section in {"observe", "truth"}:
            modules += [f"probes.{settings['probe']}" for settings in CONFIG["synthesize"].values()]
        if section in {"synthesize", "respond"}:
            probe = CONFIG["synthesize"][chosen["probe"]]
            modules.append(f"probes.{probe['probe']}")
            if section == "synthesize" and "model" in probe:
                modules.append(architecture(probe["model"]))
        return digest_of(*modules)

    return digest


def one_of(names):
    """A wildcard's constraint: one of these names, or nothing at all."""
    return "|".join(names) or "$^"


def compared(model):
    """A model and the baselines that stand beside it."""
    return [model, *(b for b in BASELINES if b != model)]


def seeds_of(model):
    """The seeds that a model is trained from; a baseline from the first alone."""
    return SEEDS[:1] if model in BASELINES else SEEDS


def training_threads(wildcards):
    """A baseline is small: two of them beside each other take less time than one after the other with two threads each."""
    return 1 if wildcards.model in BASELINES else 2


# Both are parameters that Snakemake takes as derived from resources: they never cause a job to run again, so that a run can move
# from a laptop to a cluster and back.
def launcher(wildcards, resources, threads):
    return in_one_sentence(srun.launcher, dict(resources.items()), threads)


def device_arguments(wildcards, resources):
    return in_one_sentence(srun.device_arguments, dict(resources.items()))


def all_runs(models):
    """model/seedN for all runs of some models."""
    return [f"{model}/seed{seed}" for model in models for seed in seeds_of(model)]


def per_probe(kind):
    """The files of one kind of all probes, of one model and seed."""
    return [f"results/{{recording}}/{{model}}/seed{{seed}}/{kind}/{probe}.nc" for probe in PROBES]


def named(names, paths):
    """NAME=PATH arguments."""
    return [f"{name}={path}" for name, path in zip(names, paths, strict=True)]


def raw_files(wildcards):
    """The raw files of a recording; what the pipeline did not make itself is never older or newer than its results."""
    files = [path for _, path in sorted(CONFIG["recordings"][wildcards.recording].items())]
    return [f if f.startswith("results/") else ancient(f) for f in files]


def stimulus_arguments(wildcards, input):
    return named(sorted(CONFIG["recordings"][wildcards.recording]), input)


def compared_models(wildcards):
    """The model and the baselines beside it."""
    model, *others = compared(wildcards.model)
    others = [f"results/{{recording}}/{other}/seed{SEEDS[0]}/model.nc" for other in others]
    return [f"results/{{recording}}/{model}/seed{{seed}}/model.nc", *others]


def shared_arguments(wildcards, input):
    return named(RECORDINGS, input)


def shared_outputs(wildcards, output):
    return named(RECORDINGS, output)


def model_arguments(wildcards, input):
    return named(compared(wildcards.model), input.models)


def attribution_arguments(wildcards, input):
    return named(PROBES, input.attributions)


# What is compared: the seeds of a model of one recording, or the models of all recordings.
RUNS = [f"seed{seed}" for seed in SEEDS]
ALL_RUNS = [f"{recording}/seed{seed}" for recording in RECORDINGS for seed in SEEDS]


def probe_files(wildcards):
    """The stimuli of all probes of a recording."""
    return [f"results/{wildcards.recording}/probes/{probe}.nc" for probe in PROBES]


def probe_arguments(wildcards, input):
    return named(PROBES, input.probes)


def response_arguments(wildcards, input):
    """model/seedN/probe=PATH of all responses to a recording's probes."""
    return named([f"{run}/{probe}" for run in all_runs(MODELS) for probe in PROBES], input.responses)


def circuit_digest(wildcards):
    """The contents of the file that a simulated circuit is written down in."""
    return f"circuit {file_digest(circuit_path(CONFIG['simulate'][wildcards.retina]['circuit']))}"


def retina_file(wildcards):
    """The simulated retina that a recording comes from."""
    return f"results/raw/insilico/{retmech_config.retina_of(CONFIG, wildcards.recording)}/retina.nc"


def retina_files(wildcards):
    """What is known of the cells' own responses to probes: recorded, and simulated where a simulated retina was recorded."""
    names = ["observed", "truth"] if wildcards.recording in SIMULATED else ["observed"]
    return [f"results/{wildcards.recording}/{name}.nc" for name in names]


def recovery_files(wildcards):
    """How well the truth was recovered, for recordings of a simulated retina."""
    runs = all_runs(CIRCUIT_MODELS) if wildcards.recording in SIMULATED else []
    return [f"results/{wildcards.recording}/{run}/recovery.nc" for run in runs]


def comparison_files(wildcards):
    """How alike channels are to recorded interneurons, where there are any."""
    runs = all_runs(CIRCUIT_MODELS) if CONFIG["compare"]["interneurons"] else []
    return [f"results/{wildcards.recording}/{run}/interneurons.nc" for run in runs]


def simulated_retina(wildcards):
    """The simulated retina that was recorded, if one was."""
    return retina_file(wildcards) if wildcards.recording in SIMULATED else []


def simulated_retina_argument(wildcards, input):
    return ["--retina", input.retina] if input.retina else []


def consensus_argument(wildcards, input):
    return ["--consensus", *named(CIRCUIT_MODELS, input.consensus)] if input.consensus else []


def run_recovery(wildcards):
    """How well the truth was recovered by one run, where there is a truth."""
    return ["results/{recording}/{model}/seed{seed}/recovery.nc"] if wildcards.recording in SIMULATED else []


def run_comparison(wildcards):
    """How alike one run's channels are to recorded interneurons, where there are any."""
    return ["results/{recording}/{model}/seed{seed}/interneurons.nc"] if CONFIG["compare"]["interneurons"] else []


def own_response_arguments(wildcards, input):
    """model/seedN/probe=PATH of one run's responses."""
    return named([f"{wildcards.model}/seed{wildcards.seed}/{probe}" for probe in PROBES], input.responses)


def drawn_arguments(wildcards, input):
    """What is drawn where it exists."""
    named_files = {"--recovery": input.recovery, "--interneurons": input.interneurons}
    return [word for option, files in named_files.items() if files for word in (option, str(files))]


def retina_arguments(wildcards, input):
    return named(["recorded", "simulated"][: len(input.retinas)], input.retinas)


def movie_files(wildcards):
    """The file that a probe is read from, if it is one; like a raw recording, it is never older or newer than what is made of it."""
    path = CONFIG["synthesize"][wildcards.probe].get("path")
    return [ancient(path)] if path else []


def climbed_model(wildcards):
    """The trained model that a probe's movies are made with, if they are."""
    settings = CONFIG["synthesize"][wildcards.probe]
    if "model" not in settings:
        return []
    seed = SEEDS[0] if settings["seed"] is None else settings["seed"]
    return f"results/{wildcards.recording}/{settings['model']}/seed{seed}/model.nc"


def climbed_model_argument(wildcards, input):
    return ["--model", input.model] if input.model else []


def run_arguments(kind, runs):
    """NAME=PATH arguments of one kind of file of several runs, where there are any."""

    def arguments(wildcards, input):
        return named(runs, input[kind]) if input[kind] else []

    return arguments


def run_attribution_arguments(runs):
    def arguments(wildcards, input):
        return named([f"{run}/{probe}" for run in runs for probe in PROBES], input.attributions)

    return arguments
