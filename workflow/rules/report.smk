RUN = "results/{{recording}}/{model}/seed{seed}"


rule report:
    input:
        recording="results/{recording}/recording.nc",
        models=expand(RUN + "/model.nc", model=MODELS, seed=SEEDS),
        performance=expand(RUN + "/performance.nc", model=MODELS, seed=SEEDS),
        probes=expand("results/{{recording}}/probes/{probe}.nc", probe=PROBES),
        responses=expand(RUN + "/responses/{probe}.nc", model=MODELS, seed=SEEDS, probe=PROBES),
        attributions=expand(RUN + "/attributions/{probe}.nc", model=CIRCUIT_MODELS, seed=SEEDS, probe=PROBES),
        reductions=expand(RUN + "/reduction.nc", model=CIRCUIT_MODELS, seed=SEEDS),
        circuits=expand(RUN + "/circuit.nc", model=CIRCUIT_MODELS, seed=SEEDS),
    output:
        report("results/{recording}/report.html", category="Report", caption="../report/report.rst", labels={"recording": "{recording}"}),
    log:
        "logs/report/{recording}.log",
    benchmark:
        "logs/report/{recording}.tsv"
    params:
        config=stage("report"),
        code=code("report"),
        models=MODELS,
        seeds=SEEDS,
        probes=PROBES,
    conda:
        "../../envs/retmech.yaml"
    shell:
        "retmech report --config {params.config:q} --folder results/{wildcards.recording:q} --models {params.models:q}"
        " --seeds {params.seeds} --probes {params.probes:q} --output {output:q} &> {log:q}"
