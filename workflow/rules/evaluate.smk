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
    conda:
        "../../envs/retmech.yaml"
    params:
        code=code("evaluate"),
        models=model_arguments,
    shell:
        "retmech evaluate --threads {threads} --recording {input.recording:q} --model {params.models:q} --output {output:q}"
        " &> {log:q}"
