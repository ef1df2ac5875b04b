rule reduce:
    input:
        attributions=per_probe("attributions"),
    output:
        "results/{recording}/{model}/seed{seed}/reduction.nc",
    log:
        "logs/reduce/{recording}/{model}/seed{seed}.log",
    benchmark:
        "logs/reduce/{recording}/{model}/seed{seed}.tsv"
    conda:
        "../../envs/retmech.yaml"
    params:
        config=stage("reduce"),
        code=code("reduce"),
        attributions=attribution_arguments,
    shell:
        "retmech reduce --config {params.config:q} --attributions {params.attributions:q} --output {output:q} &> {log:q}"
