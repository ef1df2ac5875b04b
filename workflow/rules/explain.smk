rule explain:
    input:
        model="results/{recording}/{model}/seed{seed}/model.nc",
        attributions=per_probe("attributions"),
        reduction="results/{recording}/{model}/seed{seed}/reduction.nc",
        probes=probe_files,
        recording="results/{recording}/recording.nc",
    output:
        "results/{recording}/{model}/seed{seed}/circuit.nc",
    log:
        "logs/explain/{recording}/{model}/seed{seed}.log",
    benchmark:
        "logs/explain/{recording}/{model}/seed{seed}.tsv"
    conda:
        "../../envs/retmech.yaml"
    params:
        config=stage("explain"),
        code=code("explain"),
        attributions=attribution_arguments,
        probes=probe_arguments,
    shell:
        "retmech explain --config {params.config:q} --threads {threads} --model {input.model:q} --reduction {input.reduction:q}"
        " --recording {input.recording:q} --attributions {params.attributions:q} --probe {params.probes:q}"
        " --output {output:q} &> {log:q}"
