rule train:
    input:
        "results/{recording}/recording.nc",
    output:
        "results/{recording}/{model}/seed{seed}/model.nc",
    log:
        "logs/train/{recording}/{model}/seed{seed}.log",
    benchmark:
        "logs/train/{recording}/{model}/seed{seed}.tsv"
    wildcard_constraints:
        model=one_of(m for m in MODELS if m not in SHARED_MODELS),
    conda:
        "../../envs/retmech.yaml"
    threads: training_threads
    resources:
        devices=1,
    params:
        config=stage("train", "model"),
        code=code("train"),
        launcher=launcher,
        devices=device_arguments,
    shell:
        "{params.launcher} retmech train --config {params.config:q} --seed {wildcards.seed} --threads {threads} {params.devices}"
        " --scratch work/checkpoints --recording {wildcards.recording}={input:q}"
        " --output {wildcards.recording}={output:q} &> {log:q}"


rule train_shared:
    input:
        expand("results/{recording}/recording.nc", recording=RECORDINGS),
    output:
        expand("results/{recording}/{{model}}/seed{{seed}}/model.nc", recording=RECORDINGS),
    log:
        "logs/train/shared/{model}/seed{seed}.log",
    benchmark:
        "logs/train/shared/{model}/seed{seed}.tsv"
    wildcard_constraints:
        model=one_of(SHARED_MODELS),
    conda:
        "../../envs/retmech.yaml"
    threads: 2
    resources:
        devices=1,
    params:
        config=stage("train", "model"),
        code=code("train"),
        launcher=launcher,
        devices=device_arguments,
        recordings=shared_arguments,
        models=shared_outputs,
    shell:
        "{params.launcher} retmech train --config {params.config:q} --seed {wildcards.seed} --threads {threads} {params.devices}"
        " --scratch work/checkpoints --recording {params.recordings:q} --output {params.models:q} &> {log:q}"
