rule report:
    input:
        recording="results/{recording}/recording.nc",
        models=expand("results/{{recording}}/{model}/seed{seed}/model.nc", model=MODELS, seed=SEEDS),
        performance=expand("results/{{recording}}/{model}/seed{seed}/performance.nc", model=MODELS, seed=SEEDS),
        probes=expand("results/{{recording}}/probes/{probe}.nc", probe=PROBES),
        responses=expand("results/{{recording}}/{model}/seed{seed}/responses/{probe}.nc", model=MODELS, seed=SEEDS, probe=PROBES),
        attributions=expand(
            "results/{{recording}}/{model}/seed{seed}/attributions/{probe}.nc", model=CIRCUIT_MODELS, seed=SEEDS, probe=PROBES
        ),
        reductions=expand("results/{{recording}}/{model}/seed{seed}/reduction.nc", model=CIRCUIT_MODELS, seed=SEEDS),
        circuits=expand("results/{{recording}}/{model}/seed{seed}/circuit.nc", model=CIRCUIT_MODELS, seed=SEEDS),
    output:
        report(
            "results/{recording}/report.html",
            category="Report",
            caption="../report/report.rst",
            labels={"recording": "{recording}"},
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
        models=MODELS,
        seeds=SEEDS,
        probes=PROBES,
    shell:
        "retmech report --config {params.config:q} --folder results/{wildcards.recording:q} --models {params.models:q}"
        " --seeds {params.seeds} --probes {params.probes:q} --output {output:q} &> {log:q}"
