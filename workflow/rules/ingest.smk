rule ingest:
    input:
        raw_files,
    output:
        "results/{recording}/recording.nc",
    log:
        "logs/ingest/{recording}.log",
    benchmark:
        "logs/ingest/{recording}.tsv"
    conda:
        "../../envs/retmech.yaml"
    params:
        config=stage("ingest", "recording"),
        code=code("ingest"),
        stimulus=stimulus_arguments,
    shell:
        "retmech ingest --config {params.config:q} --stimulus {params.stimulus:q} --output {output:q} &> {log:q}"
