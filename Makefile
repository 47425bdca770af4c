# The menu. Every target sets up what it needs first; `make` alone prints this list.
.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-vm escape fuzz sanitize check wheel bench setup

RELEASE := target/release/rollcage
# Cages need root. A user with sudo is asked for it once.
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo "sudo -E")

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: setup ## run two dozen problems in six languages against recorded transcripts
	cargo build --release --package rollcage
	$(AS_ROOT) $(RELEASE) rollout examples/demo/run.yaml

test: setup ## run every test but the long ones
	scripts/test.sh
	scripts/python.sh

test-long: setup ## run every test, the long ones too (tens of minutes)
	ROLLCAGE_LONG=1 scripts/test.sh
	ROLLCAGE_LONG=1 scripts/python.sh
	scripts/fuzz.sh $(SECONDS)

test-vm: ## run the cage's tests in a virtual machine that has cgroup v2 only (Debian packages)
	scripts/vm/run.sh cgroup2

escape: setup ## run the hostile suite alone, with its matrix
	$(if $(AS_ROOT),CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$(AS_ROOT)") \
	cargo test --quiet --package rollcage --test escape -- --nocapture

MINUTES ?= 1
SECONDS ?= $(shell expr 60 \* $(MINUTES))
fuzz: ## fuzz every decoder of hostile bytes, a minute each (MINUTES=5, or SECONDS=10)
	scripts/fuzz.sh $(SECONDS)

# The sanitizer is an option of nightly compilers; in a stable release it is the same code behind this check. The
# standard library stays as it is, which hides nothing of ours.
sanitize: ## run the unit tests of the crates with unsafe code under AddressSanitizer
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=fuzz/target/sanitize \
	cargo test --target x86_64-unknown-linux-gnu --package rollcage-sys --package rollcage-guest --lib

check: setup ## format, lints, crate edges, licences, tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --log-level error check bans licenses sources; \
	else echo "skipped: cargo-deny is not installed, so licences were not checked"; fi
	scripts/test.sh
	scripts/python.sh

wheel: ## build the Python wheel (target/wheels)
	@[ -x target/python/tools/bin/maturin ] || { python3 -m venv target/python/tools && \
	target/python/tools/bin/python -m pip install --quiet maturin==1.16.0; }
	cd python && ../target/python/tools/bin/maturin build --release --out ../target/wheels

bench: setup ## measure caged runs beside bare ones
	cargo build --release --package rollcage
	$(AS_ROOT) $(RELEASE) bench exec

setup: ## install the toolchains that are missing (Debian and Ubuntu packages)
	@scripts/setup.sh
