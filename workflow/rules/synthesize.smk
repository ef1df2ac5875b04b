rule synthesize:
    input:
        recording="results/{recording}/recording.nc",
        movie=movie_files,
        model=climbed_model,
    output:
        "results/{recording}/probes/{probe}.nc",
    log:
        "logs/synthesize/{recording}/{probe}.log",
    benchmark:
        "logs/synthesize/{recording}/{probe}.tsv"
    conda:
        "../../envs/retmech.yaml"
    params:
        config=stage("synthesize", "probe"),
        code=code("synthesize"),
        model=climbed_model_argument,
    shell:
        "retmech synthesize --config {params.config:q} --threads {threads} --recording {input.recording:q}"
        " {params.model:q} --output {output:q} &> {log:q}"
