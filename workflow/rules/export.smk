rule export:
    input:
        "results/{recording}/{model}/seed{seed}/circuit.nc",
    output:
        report(
            directory("results/{recording}/{model}/seed{seed}/circuit"),
            patterns=["{table}.csv"],
            category="Tables",
            subcategory="{recording}, {model}, seed {seed}",
            caption="../report/circuit.rst",
            labels={"recording": "{recording}", "model": "{model}", "seed": "{seed}", "table": "{table}"},
        ),
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
