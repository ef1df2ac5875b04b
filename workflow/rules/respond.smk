rule respond:
    input:
        model="results/{recording}/{model}/seed{seed}/model.nc",
        probe="results/{recording}/probes/{probe}.nc",
    output:
        "results/{recording}/{model}/seed{seed}/responses/{probe}.nc",
    log:
        "logs/respond/{recording}/{model}/seed{seed}/{probe}.log",
    benchmark:
        "logs/respond/{recording}/{model}/seed{seed}/{probe}.tsv"
    conda:
        "../../envs/retmech.yaml"
    params:
        code=code("respond"),
    shell:
        "retmech respond --threads {threads} --model {input.model:q} --probe {input.probe:q} --output {output:q} &> {log:q}"
