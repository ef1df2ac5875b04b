rule observe:
    input:
        recording="results/{recording}/recording.nc",
        probes=probe_files,
    output:
        "results/{recording}/observed.nc",
    log:
        "logs/observe/{recording}.log",
    benchmark:
        "logs/observe/{recording}.tsv"
    conda:
        "../../envs/retmech.yaml"
    params:
        config=stage("observe"),
        code=code("observe"),
        probes=probe_arguments,
    shell:
        "retmech observe --config {params.config:q} --recording {input.recording:q} --probe {params.probes:q}"
        " --output {output:q} &> {log:q}"
