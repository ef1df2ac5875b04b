rule summarize:
    input:
        responses=expand("results/{{recording}}/{run}/responses/{probe}.nc", run=all_runs(MODELS), probe=PROBES),
        retinas=retina_files,
    output:
        readouts="results/{recording}/readouts.nc",
        table=report(
            "results/{recording}/readouts.csv",
            category="Tables",
            subcategory="{recording}",
            caption="../report/readouts.rst",
            labels={"recording": "{recording}", "table": "readouts"},
        ),
    log:
        "logs/summarize/{recording}.log",
    benchmark:
        "logs/summarize/{recording}.tsv"
    conda:
        "../../envs/retmech.yaml"
    params:
        code=code("summarize"),
        responses=response_arguments,
        retinas=retina_arguments,
    shell:
        "retmech summarize --responses {params.responses:q} --retinas {params.retinas:q}"
        " --output {output.readouts:q} --table {output.table:q} &> {log:q}"
