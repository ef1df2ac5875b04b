rule compare:
    input:
        model="results/{recording}/{model}/seed{seed}/model.nc",
        reduction="results/{recording}/{model}/seed{seed}/reduction.nc",
        interneurons=[ancient(own["path"]) for own in CONFIG["compare"]["interneurons"].values()],
    output:
        "results/{recording}/{model}/seed{seed}/interneurons.nc",
    log:
        "logs/compare/{recording}/{model}/seed{seed}.log",
    benchmark:
        "logs/compare/{recording}/{model}/seed{seed}.tsv"
    conda:
        "../../envs/retmech.yaml"
    params:
        config=stage("compare"),
        code=code("compare"),
    shell:
        "retmech compare --config {params.config:q} --threads {threads} --model {input.model:q} --reduction {input.reduction:q}"
        " --output {output:q} &> {log:q}"
