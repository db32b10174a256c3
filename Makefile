# The only task runner. `make` lists the targets.

CACHE ?= $(HOME)/.cache/wharf
export WHARF_CACHE := $(CACHE)
# Compiled artefacts stay outside of the checkout: a fresh clone is built in minutes, not anew.
export CARGO_TARGET_DIR ?= $(CACHE)/target
TOOLS := $(CACHE)/tools
TYPOS := $(CACHE)/python-tools/bin/typos
# One selection for every call of cargo: another one would build everything a second time.
ALL := --workspace --locked

.DEFAULT_GOAL := help

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: export WHARF_STARTED_BY := make
run: ## Build, start everything, print endpoints and keys (ARGS='--listen 127.0.0.1:9000')
	cargo build --release $(ALL) --bin wharf
	@$(CARGO_TARGET_DIR)/release/wharf dev $(ARGS)

build: ## Build everything (debug)
	cargo build $(ALL)

release: ## Build everything (release)
	cargo build --release $(ALL)

test: setup lint build unit vendors browser fuzz-corpus ## Set up what is missing and run everything that CI runs
	@tests/summary.sh

setup: ## Install what the tests need: packages, SDKs, tools
	@rm -rf $(CACHE)/results
	@tests/setup.sh

unit: ## Rust tests: unit, contract, integration
	@tests/summary.sh run unit cargo test $(ALL) --no-fail-fast

vendors: build ## Vendors' own clients and suites, Autobahn groups 1-7 and 10
	@tests/summary.sh run vendors node tests/conformance/run.mjs

conformance: build ## As vendors, with Autobahn's group 9
	node tests/conformance/run.mjs --all

browser: build ## The page of `wharf dev` in a real browser
	@tests/summary.sh run browser node tests/browser/run.mjs

lint: fmt-check clippy deny typos ## Format, clippy, licences and bans, spelling

fmt: ## Format
	cargo fmt --all

fmt-check:
	cargo fmt --all --check

clippy:
	cargo clippy $(ALL) --all-targets -- -D warnings

deny: $(TOOLS)/bin/cargo-deny
	PATH="$(TOOLS)/bin:$$PATH" cargo deny --locked --config .deny.toml check --hide-inclusion-graph -A duplicate bans licenses sources

advisories: $(TOOLS)/bin/cargo-deny ## Known vulnerabilities of what we build on (needs the advisory database)
	PATH="$(TOOLS)/bin:$$PATH" cargo deny --config .deny.toml check advisories

$(TOOLS)/bin/cargo-deny:
	cargo install --locked --root $(TOOLS) --target-dir $(CACHE)/tools-target cargo-deny

typos: $(TYPOS)
	$(TYPOS)

$(TYPOS):
	python3 -m venv $(CACHE)/python-tools
	$(CACHE)/python-tools/bin/pip install --quiet 'typos==1.*'

bench: release ## The gates on memory and CPU, measured beside a floor and a peer in the same run
	cd tests/bench && npm ci --silent
	$(CARGO_TARGET_DIR)/release/wharf bench gates --gateway-bin $(CARGO_TARGET_DIR)/release/wharf-gateway --peer-node tests/bench/ws-broadcast.mjs $(ARGS)

fuzz-corpus: ## The corpus and twenty seconds for each decoder
	@tests/summary.sh run fuzz tests/fuzz.sh 20

fuzz: ## Ten minutes for each decoder
	tests/fuzz.sh 600

clean: ## Remove what was compiled; downloads stay
	rm -rf $(CARGO_TARGET_DIR)

.PHONY: help run build release test setup unit vendors conformance browser lint fmt fmt-check clippy deny advisories typos bench fuzz fuzz-corpus clean
