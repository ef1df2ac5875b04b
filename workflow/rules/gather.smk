rule gather:
    input:
        pages=expand("results/{recording}/report.html", recording=RECORDINGS),
        consensus=expand("results/.all/{model}/consensus.nc", model=CIRCUIT_MODELS if CONFIG["consensus"]["recordings"] else []),
    output:
        report(
            "results/report.html",
            category="Report",
            caption="../report/gather.rst",
            labels={"recording": "all", "page": "explorer"},
        ),
    log:
        "logs/gather.log",
    benchmark:
        "logs/gather.tsv"
    conda:
        "../../envs/retmech.yaml"
    params:
        config=stage("gather"),
        code=code("gather"),
        pages=lambda wildcards, input: named(RECORDINGS, input.pages),
        consensus=consensus_argument,
    shell:
        "retmech gather --config {params.config:q} --pages {params.pages:q} {params.consensus:q} --output {output:q} &> {log:q}"
