from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/ingest.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/synthesize.smk"
include: "workflow/rules/respond.smk"
include: "workflow/rules/observe.smk"
include: "workflow/rules/truth.smk"
include: "workflow/rules/summarize.smk"
include: "workflow/rules/attribute.smk"
include: "workflow/rules/reduce.smk"
include: "workflow/rules/consensus.smk"
include: "workflow/rules/explain.smk"
include: "workflow/rules/recover.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/export.smk"
include: "workflow/rules/draw.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/gather.smk"


rule all:
    default_target: True
    input:
        "results/report.html",
        expand("results/{recording}/report.html", recording=RECORDINGS),
        expand("results/{recording}/readouts.nc", recording=RECORDINGS),
        expand("results/{recording}/figures", recording=RECORDINGS),
        # Of the first seed; those of another are made on request, since they take as much time and space as all else of a run.
        expand("results/{recording}/{model}/seed{seed}/figures", recording=RECORDINGS, model=CIRCUIT_MODELS, seed=SEEDS[:1]),
        expand("results/{recording}/{model}/seed{seed}/circuit", recording=RECORDINGS, model=CIRCUIT_MODELS, seed=SEEDS),
        expand("results/{recording}/{model}/seed{seed}/recovery.nc", recording=SIMULATED, model=CIRCUIT_MODELS, seed=SEEDS),
        expand("results/.all/{model}/consensus.nc", model=CIRCUIT_MODELS if CONFIG["consensus"]["recordings"] else []),


onstart:
    begin_unless_begun()


onerror:
    print(advice(", ".join(log)), file=sys.stderr)
