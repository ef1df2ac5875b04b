rule report:
    input:
        recording="results/{recording}/recording.nc",
        models=expand("results/{{recording}}/{run}/model.nc", run=all_runs(MODELS)),
        performance=expand("results/{{recording}}/{run}/performance.nc", run=all_runs(MODELS)),
        probes=probe_files,
        responses=expand("results/{{recording}}/{run}/responses/{probe}.nc", run=all_runs(MODELS), probe=PROBES),
        retinas=retina_files,
        retina=simulated_retina,
        attributions=expand("results/{{recording}}/{run}/attributions/{probe}.nc", run=all_runs(CIRCUIT_MODELS), probe=PROBES),
        reductions=expand("results/{{recording}}/{run}/reduction.nc", run=all_runs(CIRCUIT_MODELS)),
        circuits=expand("results/{{recording}}/{run}/circuit.nc", run=all_runs(CIRCUIT_MODELS)),
        recoveries=recovery_files,
        comparisons=comparison_files,
        consensus=expand("results/{{recording}}/{model}/consensus.nc", model=CIRCUIT_MODELS),
    output:
        report(
            "results/{recording}/report.html",
            category="Report",
            caption="../report/report.rst",
            labels={"recording": "{recording}", "page": "explorer"},
        ),
    log:
        "logs/report/{recording}.log",
    benchmark:
        "logs/report/{recording}.tsv"
    conda:
        "../../envs/retmech.yaml"
    params:
        config=stage("report"),
        code=code("report"),
        models=run_arguments("models", all_runs(MODELS)),
        performance=run_arguments("performance", all_runs(MODELS)),
        probes=probe_arguments,
        responses=response_arguments,
        retinas=retina_arguments,
        retina=simulated_retina_argument,
        attributions=run_attribution_arguments(all_runs(CIRCUIT_MODELS)),
        reductions=run_arguments("reductions", all_runs(CIRCUIT_MODELS)),
        circuits=run_arguments("circuits", all_runs(CIRCUIT_MODELS)),
        recoveries=run_arguments("recoveries", all_runs(CIRCUIT_MODELS)),
        comparisons=run_arguments("comparisons", all_runs(CIRCUIT_MODELS)),
        consensus=run_arguments("consensus", CIRCUIT_MODELS),
    shell:
        "retmech report --config {params.config:q} --name {wildcards.recording:q} --recording {input.recording:q}"
        " --model {params.models:q} --performance {params.performance:q} --probe {params.probes:q}"
        " --responses {params.responses:q} --retinas {params.retinas:q} {params.retina:q}"
        " --attributions {params.attributions:q} --reduction {params.reductions:q} --circuit {params.circuits:q}"
        " --recovery {params.recoveries:q} --interneurons {params.comparisons:q} --consensus {params.consensus:q}"
        " --output {output:q} &> {log:q}"
