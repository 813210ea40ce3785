# The door. CMake and Ninja do the work; see CMakePresets.json for the other builds.
PREFIX ?= /usr/local
BUILD  := build
JOBS   ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: all setup configure check neon conformance demo docs coverage faults bench bench-count install format clean help

all: configure ## build the program: build/calque
	@cmake --build $(BUILD) -j $(JOBS)

setup: ## install the system packages that are missing
	@tools/setup

configure: setup
	@[ -f $(BUILD)/build.ninja ] || cmake --preset release >/dev/null

check: all ## run every test; the last line counts the cases
	@tools/check --fuzz $(BUILD)

neon: ## compile the kernels for 64-bit ARM (needs a cross compiler; tools/check-neon)
	@tools/check-neon

conformance: all ## run the stored conformance cases alone
	@tools/check $(BUILD) -L conformance

demo: all ## a faulty conversion found, named, repaired and proved
	@tools/demo $(BUILD)/calque

docs: all ## write docs/operators.md from the operators' rows
	@tools/operators-page $(BUILD)/calque

coverage: setup ## how much of src/ops the tests run (gcovr); fails below 95 %
	@tools/coverage

faults: all ## make faults in real files and print what of them is found (needs the corpus)
	@$(BUILD)/test/mutate/faults $(BUILD)/calque test/mutate/files.tsv "$${CALQUE_CORPUS:-../shared}" --record $(BUILD)/faults.record

bench: all ## measure speed and memory
	@bench/run

bench-count: all ## count the instructions of an inference against the baseline
	@bench/count

install: all ## install below PREFIX (default /usr/local)
	@cmake --install $(BUILD) --prefix "$(PREFIX)"

format: ## format the sources with clang-format
	@tools/format

clean: ## remove every build
	@rm -rf build build-*

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile
