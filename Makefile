# make run: the pipeline of config.yaml. make test: all checks. make bench: measurements beside peers. make docs: generated pages,
# then the site in docs/_build/html. make linkcheck: whether the addresses in it answer. All first set up .venv with the pinned
# packages.
PYTHON ?= python3
CORES ?= 2
ARGS ?=

# The environment's programs are found by PATH, so that a path with spaces needs no quoting here.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
STAMP := .venv/.installed

.PHONY: run test bench docs linkcheck clean

run: $(STAMP)
	retmech run --cores $(CORES) $(ARGS)
	@echo "Done. Open results/report.html"

test: $(STAMP)
	ruff check
	ruff format --check
	mypy
	snakefmt --check Snakefile workflow
	snakemake --lint
	deno fmt --check --line-width 130 retmech/report/explorer/*.js
	pytest

bench: $(STAMP)
	python -m benchmarks.ingestion
	python -m benchmarks.training
	python -m benchmarks.gpu
	python -m benchmarks.convergence
	python -m benchmarks.attribution
	python -m benchmarks.reduction
	python -m benchmarks.probes
	python -m benchmarks.simulation
	python -m benchmarks.recovery
	python -m benchmarks.plan
	python -m benchmarks.page

docs: $(STAMP)
	retmech docs
	sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build/html
	@echo "Done. Open docs/_build/html/index.html"

linkcheck: $(STAMP)
	sphinx-build --quiet --keep-going -b linkcheck docs docs/_build/linkcheck

clean:
	rm -rf .venv .snakemake results logs work benchmarks-out docs/_build docs/api

$(STAMP): pyproject.toml envs/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "retmech needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	python -m pip install --quiet --disable-pip-version-check -c envs/constraints.txt -e '.[docs,test]'
	touch $(STAMP)
