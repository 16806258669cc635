SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The broker of the pipeline tests: embedded (from a wheel) or apache (`make kafka`).
BROKER ?= embedded
WORKERS ?= 3

.PHONY: help install lock generate check test test-unit test-pipeline kafka demo demo-live bench bench-inference bench-live bench-gpu bench-quick clean

help:              ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 18

$(STAMP): requirements.lock pyproject.toml
	@echo "Installing into $(VENV) (about a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

install: $(STAMP)  ## create .venv from the hashed lock

demo: $(STAMP)     ## the whole way on this machine: upload events in, stored verdicts out
	@$(BIN)/fleet demo

demo-live: $(STAMP) ## a manipulated live stream, alerted and kept out (needs nginx with its RTMP module)
	@$(BIN)/fleet demo-live

test: test-unit test-pipeline  ## all tests; BROKER=apache for the pipeline on real Apache Kafka

test-unit: $(STAMP)
	$(BIN)/pytest tests/unit --numprocesses 2 --quiet

test-pipeline: $(STAMP)
	$(BIN)/pytest tests/pipeline --broker $(BROKER) $(if $(filter apache,$(BROKER)),-m "not own_servers") \
	  --numprocesses $(WORKERS) --dist worksteal --quiet

check: $(STAMP)    ## ruff, mypy --strict, import-linter, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.generate --check

kafka: $(STAMP)    ## fetch real Apache Kafka (needs Java and Maven), once
	$(BIN)/python -m agents.local.apache fetch

bench: $(STAMP)    ## measure, and write docs/benchmarks.md
	$(BIN)/python -m bench --write

bench-inference: $(STAMP)  ## inference alone: every family by batch size, INT8 against fp32, starts, memory
	$(BIN)/python -m bench detectors families precision opening inference

bench-live: $(STAMP)  ## live streams: glass to alert to gone, the door, pulling, windows, hundreds of streams; write docs/benchmarks-live.md
	$(BIN)/python -m bench --streams --write

bench-gpu: $(STAMP)  ## the same on a GPU, and write docs/benchmarks-gpu.md; ends with an error where there is none
	$(BIN)/python -m bench --gpu --write

bench-quick: $(STAMP)  ## the same in two minutes, writing nothing: do the benchmarks run?
	$(BIN)/python -m bench --quick
	$(BIN)/python -m bench --quick live door windows

generate: $(STAMP) ## JSON Schemas, AsyncAPI, docs/messages.md, docs/configuration.md
	$(BIN)/python -m tools.generate

lock:              ## resolve requirements.lock anew
	$(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	  --extra cpu --extra local --extra plot --extra demo --extra fit --extra convert --extra dev \
	  --generate-hashes --no-emit-index-url --custom-compile-command "make lock" -o requirements.lock

clean:             ## remove .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
