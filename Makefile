# The README's commands. Each is a few plain cargo commands; nothing here is needed to use cargo.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Where rustup puts cargo, for shells that have not read its profile yet.
export PATH := $(PATH):$(if $(CARGO_HOME),$(CARGO_HOME),$(HOME)/.cargo)/bin

CARGO ?= cargo
TARGET_DIR := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
# The crates that feature `dpdk` changes.
DPDK_CRATES := --package hal --package qfp --package ucode
DPDK := $(shell pkg-config --exists 'libdpdk >= 22.11' 2>/dev/null && echo yes)
# Seconds for each fuzz target.
FUZZ_SECONDS ?= 60

.PHONY: help
help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 10

.PHONY: setup
setup: ## Install what is missing
	@scripts/setup.sh

.PHONY: demo
demo: setup ## Route a capture, then forward on DPDK virtual devices
	@scripts/demo.sh

.PHONY: test
test: setup ## All tests: without DPDK, then what DPDK changes
	QFP_BUILT=1 $(CARGO) test --workspace
	QFP_BUILT=1 $(CARGO) test --package daemon --features crash-points --test crash --test takeover
	$(CARGO) test --package sim --features faults
	$(CARGO) test $(DPDK_CRATES) --features dpdk

.PHONY: interop
interop: ## ESP exchanged with a Linux kernel, scapy and strongSwan (root)
	@scripts/setup.sh interop
	$(CARGO) build --package qfp --example l3fwd
	$(CARGO) test --package qfp --test interop -- --nocapture

.PHONY: bench
bench: setup ## Benchmarks, each against the DPDK library for the same job
	$(CARGO) bench --workspace --features dpdk --bench '*'

.PHONY: lint
lint: ## Format, clippy, rustdoc, licences, scripts: warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --package sim --features faults --all-targets -- -D warnings
ifeq ($(DPDK),yes)
	$(CARGO) clippy --package dpdk-sys $(DPDK_CRATES) --features dpdk --all-targets -- -D warnings
else
	@echo "skipped: clippy with feature dpdk (DPDK is not installed)"
endif
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny check; \
	else echo "skipped: cargo deny (not installed)"; fi
	@if command -v shellcheck >/dev/null; then shellcheck scripts/*.sh scripts/interop/*.sh .ci/run; \
	else echo "skipped: shellcheck (not installed)"; fi

.PHONY: docs
docs: ## Write docs/order-of-operations.md and docs/rows.md anew, from table and tests
	QFP_BLESS=1 $(CARGO) test --package qfp --test order_of_operations --test rows

.PHONY: loom
loom: ## Model check of the publication protocol and of wake-ups
	RUSTFLAGS='--cfg loom' $(CARGO) test --package pal --release \
		--target-dir $(TARGET_DIR)/loom --test loom_publication --test loom_doorbell

.PHONY: miri
miri: ## Publication, memory and rings under miri (nightly)
	@cargo +nightly miri --version >/dev/null 2>&1 || \
		{ echo "needs: rustup toolchain install nightly --component miri,rust-src"; exit 1; }
	PROPTEST_CASES=4 MIRIFLAGS=-Zmiri-disable-isolation RUSTFLAGS='' \
		cargo +nightly miri test --package pal --lib \
		--target-dir $(TARGET_DIR)/miri -- publication ring counters

.PHONY: tsan
tsan: ## Publication, memory and rings under ThreadSanitizer (nightly)
	@[[ -d "$$(rustc +nightly --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library" ]] || \
		{ echo "needs: rustup toolchain install nightly --component rust-src"; exit 1; }
	RUSTFLAGS='-Z sanitizer=thread' cargo +nightly test --package pal --lib -Z build-std \
		--target "$$(rustc -vV | sed -n 's/^host: //p')" --target-dir $(TARGET_DIR)/tsan \
		-- publication region ring counters

# What it finds goes to fuzz/target; fuzz/corpus is what it starts from.
.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZ_SECONDS (nightly, cargo-fuzz)
	@cargo +nightly fuzz --version >/dev/null 2>&1 || \
		{ echo "needs: rustup toolchain install nightly; cargo install cargo-fuzz"; exit 1; }
	for target in $$(cargo +nightly fuzz list); do \
		mkdir -p "fuzz/target/corpus/$$target" "fuzz/corpus/$$target"; \
		cargo +nightly fuzz run "$$target" "$(CURDIR)/fuzz/target/corpus/$$target" \
			"$(CURDIR)/fuzz/corpus/$$target" -- -max_total_time=$(FUZZ_SECONDS); done

.PHONY: nightly
nightly: setup ## A million packets at policies, commits, crashes, a minute of every fuzz target
	$(CARGO) test --release --package qfp --test forwarding policy_oracle::random
	QFP_COMMITS=10000 $(CARGO) test --release --package qfp --test commits
	QFP_HOTPLUGS=1000 $(CARGO) test --release --package qfp --test hotplug
	QFP_APART=1 $(CARGO) test --release --package qfp --test forwarding -- live crypto_engines
	$(CARGO) test --release --package qfp --test full_tables -- --nocapture
	QFP_KILLS=500 $(CARGO) test --release --package qfp --test restart --test full_restart \
		-- --nocapture
	QFP_CRASHES=500 QFP_TAKEOVERS=500 $(CARGO) test --release --package daemon \
		--features crash-points --test crash --test takeover
	QFP_SEEDS=100000 $(CARGO) test --package sim --features faults
	$(MAKE) fuzz FUZZ_SECONDS=60
