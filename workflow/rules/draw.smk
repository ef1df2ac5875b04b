# Figures of a recording and all its runs, and of single runs, so that these are drawn beside each other.
rule draw:
    input:
        recording="results/{recording}/recording.nc",
        models=expand("results/{{recording}}/{run}/model.nc", run=all_runs(MODELS)),
        performance=expand("results/{{recording}}/{run}/performance.nc", run=all_runs(MODELS)),
        probes=probe_files,
        responses=expand("results/{{recording}}/{run}/responses/{probe}.nc", run=all_runs(MODELS), probe=PROBES),
        retinas=retina_files,
        consensus=expand("results/{{recording}}/{model}/consensus.nc", model=CIRCUIT_MODELS),
    output:
        report(
            directory("results/{recording}/figures"),
            patterns=["{figure}.svg"],
            category="Figures",
            subcategory="{recording}",
            caption="../report/figures_recording.rst",
            labels={"recording": "{recording}", "model": "all", "seed": "all", "figure": "{figure}"},
        ),
    log:
        "logs/draw/{recording}.log",
    benchmark:
        "logs/draw/{recording}.tsv"
    conda:
        "../../envs/retmech.yaml"
    params:
        config=stage("draw"),
        code=code("draw"),
        models=run_arguments("models", all_runs(MODELS)),
        performance=run_arguments("performance", all_runs(MODELS)),
        probes=probe_arguments,
        responses=response_arguments,
        retinas=retina_arguments,
        consensus=run_arguments("consensus", CIRCUIT_MODELS),
    shell:
        "retmech draw --config {params.config:q} --recording {input.recording:q} --model {params.models:q}"
        " --performance {params.performance:q} --probe {params.probes:q} --responses {params.responses:q}"
        " --retinas {params.retinas:q} --consensus {params.consensus:q} --output {output:q} &> {log:q}"


rule draw_run:
    input:
        probes=probe_files,
        responses=per_probe("responses"),
        retinas=retina_files,
        attributions=per_probe("attributions"),
        reduction="results/{recording}/{model}/seed{seed}/reduction.nc",
        circuit="results/{recording}/{model}/seed{seed}/circuit.nc",
        recovery=run_recovery,
        interneurons=run_comparison,
    output:
        report(
            directory("results/{recording}/{model}/seed{seed}/figures"),
            patterns=["{figure}.svg"],
            category="Figures",
            subcategory="{recording}, {model}, seed {seed}",
            caption="../report/figures_run.rst",
            labels={"recording": "{recording}", "model": "{model}", "seed": "{seed}", "figure": "{figure}"},
        ),
    log:
        "logs/draw/{recording}/{model}/seed{seed}.log",
    benchmark:
        "logs/draw/{recording}/{model}/seed{seed}.tsv"
    wildcard_constraints:
        model=one_of(CIRCUIT_MODELS),
    conda:
        "../../envs/retmech.yaml"
    params:
        code=code("draw"),
        probes=probe_arguments,
        responses=own_response_arguments,
        retinas=retina_arguments,
        attributions=attribution_arguments,
        others=drawn_arguments,
    shell:
        "retmech draw --probe {params.probes:q} --responses {params.responses:q} --retinas {params.retinas:q}"
        " --attributions {params.attributions:q} --reduction {input.reduction:q} --circuit {input.circuit:q}"
        " {params.others:q} --output {output:q} &> {log:q}"
