# Everything that a person or continuous integration does with this repository. `make` lists it.
#
# Needed beforehand: a Rust toolchain (see rust-version in Cargo.toml), a C compiler, Python 3 with pip,
# Node 20. What else a target needs it fetches itself, into .cache/ or tests/node/node_modules/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# One profile for the tests and for the binary that the suites drive, so that dependencies compile once.
PROFILE := quick
TARGET := $(or $(CARGO_TARGET_DIR),target)
VENV := .cache/venv
PYTHON := $(VENV)/bin/python
DENY_VERSION := 0.20.2
DENY := .cache/tools/bin/cargo-deny

export ATP_BIN := $(abspath $(TARGET)/$(PROFILE)/atp)
export ATP_UPSTREAM_BIN := $(abspath $(TARGET)/$(PROFILE)/atp-upstream)

.PHONY: help run test test-rust test-local test-loom test-python test-node build-tests check bench bench-micro lab check-long clean

help: ## this list
	@echo 'usage: make TARGET'; echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build, start a small real model on loopback, serve it on 127.0.0.1:7443 (ARGS go to `atp up`)
	@exec tools/run $(ARGS)

test: test-rust test-local test-loom test-node test-python ## all tests: Rust, then the OpenAI SDKs in Node and Python against the binary

build-tests:
	cargo build --workspace --bins --tests --profile $(PROFILE) --locked

test-rust: build-tests ## unit, property and conformance tests in Rust
	cargo test --workspace --profile $(PROFILE) --locked

# The model's file is fetched as `make run` does; where it cannot be had the tests that need it say so.
test-local: ## the model in the process (feature `local`), on the real weights beside llama.cpp's answers
	ATP_GGUF="$$(python3 tools/model/fetch.py --gguf || true)"; [ -z "$$ATP_GGUF" ] || export ATP_GGUF; \
	  cargo test --package atp-adapters --features local --lib --profile $(PROFILE) --locked local

# A folder of its own: --cfg loom changes every dependency, and each would be built over the other.
test-loom: ## every interleaving of the hand-made concurrent cells
	RUSTFLAGS='--cfg loom' cargo test --package atp-pipeline --test loom_permit --test loom_flow --test loom_budget --profile $(PROFILE) --locked --target-dir $(TARGET)/loom

test-python: build-tests $(VENV)/ready ## the Python SDK, faults, signals and the real model against the binary
	timeout --kill-after=30 1500 $(PYTHON) -m pytest tests/python

test-node: build-tests tests/node/node_modules/.package-lock.json ## the Node SDK against the binary
	cd tests/node && timeout --kill-after=30 600 npm test

check: $(DENY) ## format, clippy, tidy, dependencies, docs: warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo xtask tidy
	$(DENY) --log-level error --all-features check bans licenses sources
	tools/advisories $(DENY)
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked

bench: ## compare with a direct connection and with nginx, in one run
	tools/bench $(ARGS)

lab: ## the simulation laboratory: docs/flow-control.md, docs/routing.md and their plots written anew
	cargo run --package atp-lab --profile $(PROFILE) --locked -- docs

bench-micro: ## criterion: scan, splice, stream tap, error bodies, ledger, decisions
	cargo bench --workspace --locked

check-long: test check ## everything above, then the deep loom models, long fuzzing and a soak run
	tools/check-long

clean: ## remove everything that was built or fetched
	cargo clean
	rm -rf .cache tests/node/node_modules

# A virtual environment where the system has them, else packages in a folder: see tools/venv.
$(VENV)/ready: tests/python/requirements.txt tools/venv
	tools/venv $(VENV) tests/python/requirements.txt
	touch $@

tests/node/node_modules/.package-lock.json: tests/node/package-lock.json
	cd tests/node && npm ci --no-audit --no-fund
	touch $@

$(DENY):
	cargo install cargo-deny --locked --version $(DENY_VERSION) --root .cache/tools
