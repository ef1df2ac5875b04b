rule report:
    input:
        recording="results/{recording}/recording.nc",
        models=expand("results/{{recording}}/{run}/model.nc", run=all_runs(MODELS)),
        performance=expand("results/{{recording}}/{run}/performance.nc", run=all_runs(MODELS)),
        probes=expand("results/{{recording}}/probes/{probe}.nc", probe=PROBES),
        responses=expand("results/{{recording}}/{run}/responses/{probe}.nc", run=all_runs(MODELS), probe=PROBES),
        retinas=retina_files,
        retina=simulated_retina,
        attributions=expand("results/{{recording}}/{run}/attributions/{probe}.nc", run=all_runs(CIRCUIT_MODELS), probe=PROBES),
        reductions=expand("results/{{recording}}/{run}/reduction.nc", run=all_runs(CIRCUIT_MODELS)),
        consensus=expand("results/{{recording}}/{model}/consensus.nc", model=CIRCUIT_MODELS),
        circuits=expand("results/{{recording}}/{run}/circuit.nc", run=all_runs(CIRCUIT_MODELS)),
        recoveries=recovery_files,
        comparisons=comparison_files,
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
        runs=all_runs(MODELS),
        probes=PROBES,
        retina=simulated_retina_argument,
    shell:
        "retmech report --config {params.config:q} --folder results/{wildcards.recording:q} --runs {params.runs:q}"
        " --probes {params.probes:q} {params.retina:q} --output {output:q} &> {log:q}"
