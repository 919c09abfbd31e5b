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
BENCH := --package thaw-planner --package thaw-worker --package snowflake-emulator --package thaw-e2e --bins

.PHONY: help build services services-down prerequisites demo test lint bench

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

test: prerequisites ## run every test on private servers
	$(CARGO) build --locked --workspace --bins $(FAULTY)
	@$(TARGET)/debug/services run -- $(CARGO) test --locked --workspace --no-fail-fast $(FAULTY)

lint: ## formatting, clippy, layers and house rules, licences, shell syntax, compose, units, manifests
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@$(CARGO) run --quiet --locked --package tidy
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --log-level error check; \
	 else echo "cargo-deny is not installed: licences and advisories (deny.toml) not checked"; fi
	@deploy/lint.sh

SCALE ?= 1
bench: prerequisites ## optimised: plan and publish 100,000 chunks; load 750,000 orders with one slot; upsert SCALE million
	$(CARGO) build --release --locked $(BENCH)
	@$(TARGET)/release/bench
	$(CARGO) bench --quiet --locked --package thaw-worker --bench merge -- $(SCALE)
