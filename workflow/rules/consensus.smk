rule consensus:
    input:
        models=expand("results/{{recording}}/{{model}}/{run}/model.nc", run=RUNS),
        reductions=expand("results/{{recording}}/{{model}}/{run}/reduction.nc", run=RUNS),
        attributions=expand("results/{{recording}}/{{model}}/{run}/attributions/{probe}.nc", run=RUNS, probe=PROBES),
    output:
        "results/{recording}/{model}/consensus.nc",
    log:
        "logs/consensus/{recording}/{model}.log",
    benchmark:
        "logs/consensus/{recording}/{model}.tsv"
    wildcard_constraints:
        model=one_of(CIRCUIT_MODELS),
    conda:
        "../../envs/retmech.yaml"
    params:
        config=stage("consensus"),
        code=code("consensus"),
        models=run_arguments("models", RUNS),
        reductions=run_arguments("reductions", RUNS),
        attributions=run_attribution_arguments(RUNS),
    shell:
        "retmech consensus --config {params.config:q} --model {params.models:q} --reduction {params.reductions:q}"
        " --attributions {params.attributions:q} --output {output:q} &> {log:q}"


# The same over the models of all recordings; their folder's name is that of no recording.
rule consensus_of_recordings:
    input:
        models=expand("results/{recording}/{{model}}/seed{seed}/model.nc", recording=RECORDINGS, seed=SEEDS),
        reductions=expand("results/{recording}/{{model}}/seed{seed}/reduction.nc", recording=RECORDINGS, seed=SEEDS),
        attributions=expand(
            "results/{recording}/{{model}}/seed{seed}/attributions/{probe}.nc", recording=RECORDINGS, seed=SEEDS, probe=PROBES
        ),
    output:
        "results/.all/{model}/consensus.nc",
    log:
        "logs/consensus/.all/{model}.log",
    benchmark:
        "logs/consensus/.all/{model}.tsv"
    wildcard_constraints:
        model=one_of(CIRCUIT_MODELS),
    conda:
        "../../envs/retmech.yaml"
    params:
        config=stage("consensus"),
        code=code("consensus"),
        models=run_arguments("models", ALL_RUNS),
        reductions=run_arguments("reductions", ALL_RUNS),
        attributions=run_attribution_arguments(ALL_RUNS),
    shell:
        "retmech consensus --config {params.config:q} --model {params.models:q} --reduction {params.reductions:q}"
        " --attributions {params.attributions:q} --output {output:q} &> {log:q}"
