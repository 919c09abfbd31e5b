# Every command a person or a pipeline needs; `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
TARGET := $(shell $(CARGO) metadata --format-version 1 --no-deps --offline 2>/dev/null | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
ifeq ($(TARGET),)
TARGET := $(or $(CARGO_TARGET_DIR),target)
endif

# The product with the named fault points of common/faults, for tests that kill it at a chosen moment.
FAULTY := --features thaw-planner/fault-points,thaw-worker/fault-points
# An optimised build takes several times as long as the demo itself: the demo runs an unoptimised one.
DEMO := --package thaw-planner --package thaw-worker --package snowflake-emulator --package demo --bins
BENCH := --package thaw-planner --package thaw-worker --package snowflake-emulator --package thaw-bench --bins

.PHONY: help build services services-down prerequisites demo test lint bench bench-check bench-record

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

build: ## build planner and worker, optimised, into target/release
	$(CARGO) build --release --locked

prerequisites: ## install PostgreSQL and RabbitMQ where they are missing (Debian, Ubuntu; as root), starting neither
	@tests/install-prerequisites.sh

services: prerequisites ## start PostgreSQL and RabbitMQ on free ports and leave them running
	@$(CARGO) build --quiet --locked --package thaw-harness --bins
	@$(TARGET)/debug/services up

services-down: ## stop what `make services` has started
	@$(CARGO) build --quiet --locked --package thaw-harness --bins
	@$(TARGET)/debug/services down

demo: prerequisites ## move TPC-H rows through the whole path, kill a worker on the way, prove that no row is lost
	$(CARGO) build --locked $(DEMO)
	@$(TARGET)/debug/demo

# Most tests wait for processes that die, and for leases that lapse: twice as many as cores keep the cores busy.
TEST_THREADS ?= $(shell echo $$((2 * $$(nproc))))
test: prerequisites ## run every test on private servers
	$(CARGO) build --locked --workspace --bins $(FAULTY)
	@RUST_TEST_THREADS=$(TEST_THREADS) $(TARGET)/debug/services run -- $(CARGO) test --locked --workspace --no-fail-fast $(FAULTY)

lint: ## formatting, clippy, layers and house rules, licences, shell syntax, compose, units, manifests
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@$(CARGO) run --quiet --locked --package tidy
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --log-level error check; \
	 else echo "cargo-deny is not installed: licences and advisories (deny.toml) not checked"; fi
	@deploy/lint.sh

SCALE ?= 1
ONLY ?=
bench: prerequisites ## optimised, against PostgreSQL itself: SCALE=0.1 for fewer rows, ONLY=copy_1slot for one; writes docs/performance.md
	$(CARGO) build --release --locked $(BENCH)
	@$(TARGET)/release/bench --scale $(SCALE) --report docs/performance.md $(if $(ONLY),--only $(ONLY))

# The product's crates optimised in an otherwise unoptimised build, which `make test` has made: seconds, not minutes.
CELLS := --quiet --locked --profile dev $(foreach name,model snowflake postgres worker,--config 'profile.dev.package.thaw-$(name).opt-level=3') \
	--package thaw-worker --example cells
bench-check: ## fail when decoding or encoding a type has become twice as slow, by ratios to a loop beside it
	@$(CARGO) run $(CELLS) -- --check

bench-record: ## record what `make bench-check` compares with
	@$(CARGO) run $(CELLS) -- --record
