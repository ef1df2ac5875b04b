rule explain:
    input:
        model="results/{recording}/{model}/seed{seed}/model.nc",
        attributions=per_probe("attributions"),
        reduction="results/{recording}/{model}/seed{seed}/reduction.nc",
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
    shell:
        "retmech explain --config {params.config:q} --model {input.model:q} --reduction {input.reduction:q}"
        " --attributions {params.attributions:q} --output {output:q} &> {log:q}"
