# What people type. Everything works on a fresh machine with Rust and Python 3; other tools are installed by the rules
# that need them, at the versions given here.

CARGO_DENY_VERSION := 0.20.2

TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := $(TARGET)/tools
# CARGO_DENY names one that is there already; one that is built here is used for a second or two, so it is built quickly.
DENY := $(or $(CARGO_DENY),$(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny)

.PHONY: help demo bench test test-rust test-full soak mutations test-cloudformation check fmt clippy doc deny advisories

help: ## What there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: ## Roll 24 simulated instances, live
	@tests/build-demo
	@$(TARGET)/debug/fleet-sim demo

bench: ## Calls, times, memory and CPU of scans and rollouts, in release; writes bench.json beside the build
	cargo build --release --workspace --bins --locked
	$(TARGET)/release/fleet-sim bench

test: test-rust test-cloudformation ## All tests

# Twice as many tests at a time as a small machine has cores: commands wait for a real clock, and simulations share the
# cores among themselves (tests/src/proof/jobs.rs).
test-rust: ## The crates, and every scenario
	cargo test --workspace --locked -- --test-threads=4

# What `make test` takes a share of. An hour or more.
test-full: ## All crashes, all that others do, all budgets, and 5,000 random scenarios
	EVERY=1 SEEDS=5000 FROM=$(or $(FROM),0) cargo test -p fleet-sim --locked --test suite -- --nocapture \
		--include-ignored crash_everywhere interfere_everywhere release_everywhere budgets random_walk

soak: ## Random scenarios: make soak SEEDS=20000
	SEEDS=$(or $(SEEDS),20000) FROM=$(or $(FROM),0) cargo test -p fleet-sim --locked --test suite -- --nocapture random_walk

# A copy of the sources with a target directory of its own; a quarter of a minute for most of them.
mutations: ## Small mistakes that a test must find each: make mutations ONLY=15.3
	tests/mutations $(ONLY)

test-cloudformation: ## Templates, documents, Dockerfiles, workflows
	cloudformation/tests/run

check: fmt clippy doc deny ## Format, lints, documentation, dependencies

fmt:
	cargo fmt --all --check

# What ships is built without the feature that the tests need.
clippy:
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo check --workspace --bins --locked

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

deny: $(DENY)
	$(DENY) --locked check bans licenses sources
	@$(MAKE) --no-print-directory advisories

# Advisories are news: they need a database from the network, and do not fail a build that has none.
advisories: $(DENY) ## Known weaknesses of the dependencies
	@if timeout 60 $(DENY) --locked fetch db 2>/dev/null; \
	then $(DENY) --locked check advisories --disable-fetch; \
	else echo 'advisories: not checked, the database cannot be had from here'; fi

$(DENY):
	cargo install --quiet --locked --debug cargo-deny --version $(CARGO_DENY_VERSION) \
		--no-default-features --root $(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION)
