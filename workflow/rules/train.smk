rule train:
    input:
        "results/{recording}/recording.nc",
    output:
        "results/{recording}/{model}/seed{seed}/model.nc",
    log:
        "logs/train/{recording}/{model}/seed{seed}.log",
    benchmark:
        "logs/train/{recording}/{model}/seed{seed}.tsv"
    conda:
        "../../envs/retmech.yaml"
    threads: 2
    params:
        config=stage("train", "model"),
        code=code("train"),
    shell:
        "retmech train --config {params.config:q} --seed {wildcards.seed} --threads {threads}"
        " --scratch work/checkpoints --recording {input:q} --output {output:q} &> {log:q}"
