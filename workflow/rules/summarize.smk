rule summarize:
    input:
        responses=expand("results/{{recording}}/{run}/responses/{probe}.nc", run=all_runs(MODELS), probe=PROBES),
        observed="results/{recording}/observed.nc",
    output:
        readouts="results/{recording}/readouts.nc",
        table="results/{recording}/readouts.csv",
    log:
        "logs/summarize/{recording}.log",
    benchmark:
        "logs/summarize/{recording}.tsv"
    conda:
        "../../envs/retmech.yaml"
    params:
        code=code("summarize"),
        responses=response_arguments,
    shell:
        "retmech summarize --responses {params.responses:q} --retinas recorded={input.observed:q}"
        " --output {output.readouts:q} --table {output.table:q} &> {log:q}"
