# Everything runs from here; see `make help`.
.PHONY: help install demo test test-faults test-containers test-oracles lint audit locks clean image
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

python := .venv/bin/python
demo := results/demo

help: ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

install: ## set up .venv, the extension and Nextflow; quick where they are right already
	@bin/geneq-setup

demo: install ## the pipeline on simulated data with a known answer; results in results/demo/
	@$(MAKE) --silent $(demo)/input/truth.parquet
	@bin/geneq-nextflow -log $(demo)/nextflow.log run main.nf -profile demo -resume -work-dir $(demo)/work
	@$(python) bin/geneq-recovery $(demo)/recovery.json $(demo)/input/sites.csv $(demo)/loci
	@echo "reports: $(demo)/atlas.html, $(demo)/loci.html, $(demo)/datasets/*/report/report.html"

# Simulated anew only when what makes it has changed, so that -resume finds the same files.
$(demo)/input/truth.parquet: python/geneq/tools/simulate.py python/geneq/tools/planted_site.py python/geneq/data/core.meme
	@.venv/bin/geneq simulate --out $(demo)/input --seed 1

test: install lint ## every test: Rust, Python and the pipeline
	@cd rust_ext && cargo test --quiet --locked
	@$(python) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-faults: install ## what happens when nodes, schedulers, disks and Nextflow fail (slow; Slurm, if installed)
	@$(python) -m pytest -m faults tests/faults tests/pipeline

test-containers: install ## the image, and the demo in it against the demo outside (slow; podman)
	@$(python) -m pytest -m containers tests/containers

lint: install ## formatters, linters and types
	@cd rust_ext && if cargo fmt --version >/dev/null 2>&1; then cargo fmt --check; \
	else echo 'rustfmt is not installed: skipped'; fi
	@cd rust_ext && if cargo clippy --version >/dev/null 2>&1; then \
	cargo clippy --quiet --locked --all-targets --all-features -- -D warnings; \
	else echo 'clippy is not installed: skipped'; fi
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@$(python) -m mypy.stubtest geneq._ext
	@bin/geneq-nextflow-lint

test-oracles: install ## tests of oracles with environments of their own (6 GB each)
	@for oracle in enformer borzoi; do \
	bin/geneq-environment $$oracle && \
	.tools/environments/$$oracle/bin/python -m pytest tests/test_$$oracle.py; done

audit: ## known vulnerabilities of pinned packages (pip-audit, cargo-audit); ADVISORIES=FOLDER, SERVICE=osv
	@bin/geneq-audit $${ADVISORIES:+--advisories="$$ADVISORIES"} $${SERVICE:+--service="$$SERVICE"}

locks: ## pin the packages of pyproject.toml in locks/ (uv); bin/geneq-locks --upgrade for newer versions
	@bin/geneq-locks

image: ## the container image geneq:cpu (by podman or docker)
	@bin/geneq-image

clean: ## remove what was set up, built and computed
	rm -rf .venv .tools .nextflow .nextflow.log* work results rust_ext/target dist
	find python -name '*.so' -delete
