# `make` alone lists the targets. Everything is in .venv/, created from requirements.lock.
SHELL := /bin/bash
PYTHON ?= python3
UV := 0.13.9
LOCK := --system-certs --universal --upgrade --generate-hashes --no-annotate --no-emit-index-url \
  --quiet --custom-compile-command 'make lock' --output-file
# Two labs at most, and never one beside a cluster (tests/README.md).
LAB_TESTS := -n 2 --dist loadgroup --no-loadscope-reorder
# The tests start hundreds of Pythons, and what is compiled once halves their start.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help setup demo cluster check test soak lint docs new-requirement proofs golden screenshots karmada gateway format lock bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

setup: .venv/.complete ## create .venv from requirements.lock

demo: .venv/.complete ## start the lab and audit its five hosts
	@.venv/bin/invoke demo

cluster: .venv/.complete ## start the lab, install an HA cluster on it, audit it
	@.venv/bin/invoke lab.up lab.supply
	@.venv/bin/invoke install --fix --yes --inventory /var/lib/hale-lab/$(or $(HALE_LAB),lab)/inventory.ini

check: lint ## lint, and run all tests that need no lab (five minutes)
	@.venv/bin/pytest tests -n auto -m "not lab"

test: .venv/.complete ## run all tests, those on the lab too
	@.venv/bin/pytest tests $(LAB_TESTS) --durations=60 --durations-min=5

soak: .venv/.complete ## all crashes, round trips and cluster faults, an hour of mutations for the parsers (hours)
	@HALE_SOAK=1 .venv/bin/pytest tests/hostile/test_fuzz.py tests/hostile/test_environment.py \
	  tests/hostile/test_two_operators.py
	@HALE_SOAK=1 .venv/bin/pytest tests/federation tests/gateway tests/dashboard tests/lab/test_second.py
	@HALE_SOAK=1 .venv/bin/pytest tests/apply/test_crash.py tests/apply/test_round_trip.py \
	  tests/apply/test_two_at_once.py tests/apply/test_full_reports.py \
	  tests/cluster tests/stranger $(LAB_TESTS)

lint: .venv/.complete ## check style, types, walls, shell scripts, words, and that docs/requirements is current
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo
	.venv/bin/shellcheck $$(git ls-files '*.sh')
	.venv/bin/python -m lint.blanks
	.venv/bin/python -m lint.shell
	.venv/bin/python -m lint.words
	.venv/bin/python -m hale.docs.requirement_page --check

new-requirement: .venv/.complete ## start a requirement: its files, green, to be edited (NAME=auditd)
	@.venv/bin/python -m hale.docs.new_requirement "$(NAME)"

docs: .venv/.complete ## write docs/requirements from standard/, facts/ and remediate/
	.venv/bin/python -m hale.docs.requirement_page

proofs: .venv/.complete ## write docs/proofs.md from the tables of faults
	.venv/bin/python -m tests.faults.proofs

golden: .venv/.complete ## write tests/golden, tests/install/golden and docs/results.schema.json
	.venv/bin/pytest tests/reports -m "not lab" --update-golden
	HALE_GOLDEN=1 .venv/bin/pytest tests/install/test_templates.py tests/engine/test_lifetimes.py

karmada: .venv/.complete ## write tests/facts/federation from Karmada itself (root, Go; ten minutes, and a build of eight)
	.venv/bin/python -m tests.federation.record

gateway: .venv/.complete ## write docs/gateway-conformance.yaml: Traefik in the Gateway API's conformance tests (root, Go; three minutes, and a build of three)
	.venv/bin/python -m tests.gateway.conformance

screenshots: .venv/.complete ## write the pictures of README.md, docs/*.png (needs chromium)
	.venv/bin/python -m tests.reports.screenshots

format: .venv/.complete ## format the code
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: .venv/.complete .venv/rivals/.complete ## benchmarks: other tools, a failover, an install (an hour)
	.venv/bin/python -m bench.scale
	.venv/bin/python -m bench audit
	.venv/bin/python -m bench fix
	.venv/bin/python -m bench failover
	.venv/bin/python -m bench install

lock: .venv/.complete ## pin the newest versions that pyproject.toml allows
	.venv/bin/uv pip compile pyproject.toml --group dev --group bench $(LOCK) requirements.lock
	.venv/bin/uv pip compile --group rivals $(LOCK) bench/rivals.lock
	$(MAKE) setup

clean: ## remove .venv and caches; reports and the lab stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.complete: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Hale needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "installing the Debian package python3-venv, which .venv needs"; \
	  [ "$$(id -u)" = 0 ] || { echo "not root: ask root for apt-get install python3-venv"; exit 1; }; \
	  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3-venv >/dev/null; }
	@echo "making .venv"
	@[ -x .venv/bin/pip ] || { rm -rf .venv; $(PYTHON) -m venv .venv; }
	@.venv/bin/pip install --quiet --disable-pip-version-check uv==$(UV)
	@.venv/bin/uv pip install --quiet --system-certs --require-hashes -r requirements.lock
	@.venv/bin/uv pip install --quiet --system-certs --no-deps --no-build-isolation --editable .
	@touch $@

.venv/rivals/.complete: .venv/.complete bench/rivals.lock
	@echo "making .venv/rivals, with what the benchmark compares with"
	@.venv/bin/uv venv --quiet --clear --python .venv/bin/python .venv/rivals
	@.venv/bin/uv pip install --quiet --system-certs --python .venv/rivals/bin/python \
	  --require-hashes -r bench/rivals.lock
	@touch $@
