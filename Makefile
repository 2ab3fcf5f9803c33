# make demo [VIDEO=path-or-url]   a video in, three tracks out; no account, keys, GPU or Docker
# make test                       everything this machine can prove (checks, then tests); brings PyTorch, 2.6 GB
# make test-all                   the same at length: the oldest Postgres, too, long fuzz, ten minutes of chaos, a soak, every engine's demo
# make check | fmt                format, lint, types, import rules | repair what can be repaired
# make chaos [JOBS=200] [FOR=600]  several workers while everything around them breaks; one line at the end
# make soak [FOR=1800]          worker, API and stand-in under mixed load: memory, descriptors, files, connections; writes bench/soak.*
# make studio                   the page of studio/, built into edge_api/static; Node from PyPI where none of 22 or newer is
# make contract                 one contract, two hosts: aiohttp and Supabase's edge
# make listen                   eight films and the sketch's music for them on one page, output/listen.html; ENGINE=acestep:xl-turbo for another's
# make bench | parity             measurements | our MMAudio runtime against its reference
# make lock                       requirements/: the newest versions that pyproject.toml allows, with hashes
# make clean                      remove what make made

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help listen demo studio test tests test-all check fmt lock chaos soak bench bench-queue bench-realtime bench-engine bench-pipeline bench-sketch parity clean system

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
export VIDEO ?=
# Deno trusts the roots this machine trusts, as pip and npm do: a company's proxy signs with its own.
export DENO_TLS_CA_STORE ?= mozilla,system
# Tests start hundreds of processes: without it each compiles all that it imports anew.
export PYTHONDONTWRITEBYTECODE :=

help:
	@sed -n '/^# /!q; s/^# //p' Makefile

# The environment. A stamp a lock; it is renewed when pyproject.toml or a lock changes, and pip runs only if something is missing.
$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || { echo "make: $(PYTHON) is missing: install Python 3.11 or newer (Debian: apt install python3 python3-venv), or name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $$($(PYTHON) --version) is too old: install Python 3.11 or newer, or name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { echo "make: $(PYTHON) cannot make virtual environments: install its venv package (Debian: apt install python3-venv)"; exit 1; }
	@echo "make: creating $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

define install
	@$(BIN)/python .ci/installed.py requirements/$(1).txt 2> /dev/null || { \
	  echo "make: installing requirements/$(1).txt$(if $(findstring dev,$(1)), (PyTorch is 2.6 GB))"; \
	  $(PIP) --require-hashes -r requirements/$(1).txt && $(PIP) --no-deps --editable .; }
	@touch $@
endef

$(VENV)/.local $(VENV)/.dev: $(VENV)/.%: pyproject.toml $(wildcard requirements/*.txt) | $(BIN)/python
	$(call install,$*)

lock: $(VENV)/.dev
	@$(BIN)/python .ci/lock.py

studio: $(VENV)/.local
	@$(BIN)/python studio/build.py

demo: $(VENV)/.local
	@$(BIN)/python studio/build.py --if-possible
	@$(BIN)/rhythmai demo $${VIDEO:+"$$VIDEO"}

# chromium (its headless shell) sees the page; espeak-ng speaks in tests; ffmpeg's libraries are torchcodec's; pgbouncer is the transaction pooler the queue is tested behind; prometheus draws the dashboard once.
system:
	@missing=; for tool in chromium-headless-shell espeak-ng ffmpeg pgbouncer prometheus; do PATH="$$PATH:/usr/sbin" command -v $$tool > /dev/null || missing+=" $$tool"; done; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  echo "make: installing$$missing"; \
	  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing; } > /dev/null; \
	else echo "make: missing:$$missing. Install them first (Debian: sudo apt install$$missing)"; exit 1; fi

check: $(VENV)/.dev
	@$(BIN)/ruff format --check --output-format=concise
	@$(BIN)/ruff check --output-format=concise
	@$(BIN)/mypy
	@$(BIN)/lint-imports

test: system $(VENV)/.dev
	@$(MAKE) --no-print-directory --jobs=2 check tests

# Each worker has a Postgres, ports and a home of its own; tests/conftest.py says who runs what.
tests:
	@$(BIN)/python studio/build.py
	@$(BIN)/python -m pytest -n 3 --no-loadscope-reorder --durations=25 $(LONG)

test-all: export LONG := --oldest
test-all: export FUZZ := 25
test-all: export CHAOS := --jobs 200 --seconds 600
test-all: test

contract: system $(VENV)/.dev
	@$(BIN)/python -m tests.contract

fmt: $(VENV)/.dev
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

JOBS ?= 40
FOR ?= 60
chaos: $(VENV)/.dev
	@$(BIN)/python tests/chaos/harness.py --jobs $(JOBS) --seconds $(FOR)

soak: FOR = 1800
soak: $(VENV)/.dev
	@$(BIN)/python bench/soak.py --seconds $(FOR)

listen: $(VENV)/.dev
	@$(BIN)/python -m bench.listen $(ENGINE:%=--engine %)

bench: bench-queue bench-realtime bench-engine bench-pipeline bench-sketch
bench-queue: $(VENV)/.dev
	@$(BIN)/python bench/queues.py
bench-realtime: $(VENV)/.dev
	@$(BIN)/python bench/realtime_deliveries.py 20
	@$(BIN)/python bench/realtime_joins.py
bench-engine: $(VENV)/.dev
	@$(BIN)/python bench/engine.py
bench-pipeline: $(VENV)/.dev
	@$(BIN)/python -m bench.pipeline
bench-sketch: $(VENV)/.dev
	@$(BIN)/python -m bench.sketch 12

parity: $(VENV)/.dev
	@$(BIN)/python -m tests.engine.parity tests/engine/fixtures

clean:
	@rm -rf $(VENV) edge_api/static studio/node_modules studio/public/sample.mp4 output dist .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -not -path './node_modules/*' -prune -exec rm -rf {} +
