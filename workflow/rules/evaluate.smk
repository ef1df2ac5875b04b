def compared_models(wildcards):
    """The model and, of the same seed, the baselines beside it."""
    return [f"results/{{recording}}/{model}/seed{{seed}}/model.nc" for model in compared(wildcards.model)]


def model_arguments(wildcards, input):
    return named(compared(wildcards.model), input.models)


rule evaluate:
    input:
        recording="results/{recording}/recording.nc",
        models=compared_models,
    output:
        "results/{recording}/{model}/seed{seed}/performance.nc",
    log:
        "logs/evaluate/{recording}/{model}/seed{seed}.log",
    benchmark:
        "logs/evaluate/{recording}/{model}/seed{seed}.tsv"
    params:
        code=code("evaluate"),
        models=model_arguments,
    conda:
        "../../envs/retmech.yaml"
    shell:
        "retmech evaluate --recording {input.recording:q} --model {params.models:q} --output {output:q} &> {log:q}"
