rule synthesize:
    input:
        recording="results/{recording}/recording.nc",
        movie=movie_files,
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
    shell:
        "retmech synthesize --config {params.config:q} --recording {input.recording:q} --output {output:q} &> {log:q}"
