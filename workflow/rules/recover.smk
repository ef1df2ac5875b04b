rule recover:
    input:
        model="results/{recording}/{model}/seed{seed}/model.nc",
        retina=retina_file,
        truth="results/{recording}/truth.nc",
        probes=probe_files,
        attributions=per_probe("attributions"),
        reduction="results/{recording}/{model}/seed{seed}/reduction.nc",
        circuit="results/{recording}/{model}/seed{seed}/circuit.nc",
    output:
        "results/{recording}/{model}/seed{seed}/recovery.nc",
    log:
        "logs/recover/{recording}/{model}/seed{seed}.log",
    benchmark:
        "logs/recover/{recording}/{model}/seed{seed}.tsv"
    wildcard_constraints:
        recording=one_of(SIMULATED),
    conda:
        "../../envs/retmech.yaml"
    params:
        config=stage("recover"),
        code=code("recover"),
        attributions=attribution_arguments,
        probes=probe_arguments,
    shell:
        "retmech recover --config {params.config:q} --threads {threads} --model {input.model:q} --retina {input.retina:q}"
        " --truth {input.truth:q} --reduction {input.reduction:q} --circuit {input.circuit:q}"
        " --attributions {params.attributions:q} --probe {params.probes:q} --output {output:q} &> {log:q}"
