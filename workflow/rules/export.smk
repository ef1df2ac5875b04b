rule export:
    input:
        "results/{recording}/{model}/seed{seed}/circuit.nc",
    output:
        directory("results/{recording}/{model}/seed{seed}/circuit"),
    log:
        "logs/export/{recording}/{model}/seed{seed}.log",
    benchmark:
        "logs/export/{recording}/{model}/seed{seed}.tsv"
    conda:
        "../../envs/retmech.yaml"
    params:
        code=code("export"),
    shell:
        "retmech export --circuit {input:q} --output {output:q} &> {log:q}"
