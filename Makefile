# What people type. Everything works on a fresh machine with Rust and Python 3; other tools are installed by the rules
# that need them, at the versions given here.

CARGO_DENY_VERSION := 0.20.2

TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := $(TARGET)/tools
DENY := $(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny

.PHONY: help demo bench test test-rust soak test-cloudformation check fmt clippy doc deny

help: ## What there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: ## Roll 24 simulated instances, live
	@cargo run -q -p fleet-sim -- demo

bench: ## Calls, times, memory and CPU of scans and rollouts, in release; writes bench.json beside the build
	cargo build --release --workspace --bins --locked
	$(TARGET)/release/fleet-sim bench

test: test-rust test-cloudformation ## All tests

test-rust: ## The crates, and every scenario
	cargo test --workspace --locked

soak: ## Random scenarios: make soak SEEDS=20000
	SEEDS=$(or $(SEEDS),20000) FROM=$(or $(FROM),0) cargo test -p fleet-sim --locked --test random_walk -- --nocapture

test-cloudformation: ## Templates, documents, Dockerfiles, workflows
	cloudformation/tests/run

check: fmt clippy doc deny ## Format, lints, documentation, dependencies

fmt:
	cargo fmt --all --check

clippy:
	cargo clippy --workspace --all-targets --locked -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

deny: $(DENY)
	$(DENY) --locked check bans licenses sources

$(DENY):
	cargo install --quiet --locked cargo-deny --version $(CARGO_DENY_VERSION) \
		--no-default-features --root $(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION)
