rule simulate:
    output:
        naturalscene="results/raw/insilico/{retina}/naturalscene.h5",
        whitenoise="results/raw/insilico/{retina}/whitenoise.h5",
        retina="results/raw/insilico/{retina}/retina.nc",
    log:
        "logs/simulate/{retina}.log",
    benchmark:
        "logs/simulate/{retina}.tsv"
    conda:
        "../../envs/retmech.yaml"
    params:
        config=stage("simulate", "retina"),
        code=code("simulate"),
        circuit=circuit_digest,
    shell:
        "retmech simulate --config {params.config:q} --naturalscene {output.naturalscene:q}"
        " --whitenoise {output.whitenoise:q} --retina {output.retina:q} &> {log:q}"
