rule truth:
    input:
        retina=retina_file,
        recording="results/{recording}/recording.nc",
        probes=probe_files,
    output:
        "results/{recording}/truth.nc",
    log:
        "logs/truth/{recording}.log",
    benchmark:
        "logs/truth/{recording}.tsv"
    wildcard_constraints:
        recording=one_of(SIMULATED),
    conda:
        "../../envs/retmech.yaml"
    params:
        config=stage("truth"),
        code=code("truth"),
        probes=probe_arguments,
    shell:
        "retmech truth --config {params.config:q} --retina {input.retina:q} --recording {input.recording:q}"
        " --probe {params.probes:q} --output {output:q} &> {log:q}"
