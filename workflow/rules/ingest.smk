def raw_files(wildcards):
    """The raw files of a recording; what the pipeline did not make itself is never older or newer than its results."""
    files = CONFIG["recordings"][wildcards.recording].values()
    return [f if f.startswith("results/") else ancient(f) for f in files]


def stimulus_arguments(wildcards, input):
    return named(CONFIG["recordings"][wildcards.recording], input)


rule ingest:
    input:
        raw_files,
    output:
        "results/{recording}/recording.nc",
    log:
        "logs/ingest/{recording}.log",
    benchmark:
        "logs/ingest/{recording}.tsv"
    params:
        config=stage("ingest", "recording"),
        code=code("ingest"),
        stimulus=stimulus_arguments,
    conda:
        "../../envs/retmech.yaml"
    shell:
        "retmech ingest --config {params.config:q} --stimulus {params.stimulus:q} --output {output:q} &> {log:q}"
