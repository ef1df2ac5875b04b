rule attribute:
    input:
        model="results/{recording}/{model}/seed{seed}/model.nc",
        probe="results/{recording}/probes/{probe}.nc",
    output:
        "results/{recording}/{model}/seed{seed}/attributions/{probe}.nc",
    log:
        "logs/attribute/{recording}/{model}/seed{seed}/{probe}.log",
    benchmark:
        "logs/attribute/{recording}/{model}/seed{seed}/{probe}.tsv"
    conda:
        "../../envs/retmech.yaml"
    params:
        config=stage("attribute"),
        code=code("attribute"),
    shell:
        "retmech attribute --config {params.config:q} --threads {threads}"
        " --model {input.model:q} --probe {input.probe:q} --output {output:q} &> {log:q}"
