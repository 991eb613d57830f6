# Everything runs from .venv, which `make setup` makes out of requirements.lock.

PYTHONS ?= python3.13 python3.12 python3.11 python3
BIN := .venv/bin
STAMP := .venv/.set-up-in
# How many processes share the tests: a file stays together, the longest come first. ARGS=-n0 for the debugger.
WORKERS ?= 2
SHARED := $(if $(findstring no:xdist,$(ARGS)),,-n $(WORKERS) --dist loadfile --no-loadscope-reorder)

# The tests start Python about a hundred times: nothing should be compiled anew each time, wherever that is the habit.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test check docs bench bench-smoke bench-growth bench-read bench-small bench-half-core bench-peers soak fuzz
.PHONY: collector lock lock-peers clean

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## .venv with the postel command and all tools

# A checkout that was copied or moved carries a .venv that runs the old place's code: set up anew.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

$(STAMP): requirements.lock pyproject.toml | $(BIN)/pip
	@echo "Bringing .venv up to requirements.lock: about a minute when it is new ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation --editable .
	@printf '%s\n' '$(CURDIR)' > $(STAMP)

# pip is what venv makes last.
$(BIN)/pip:
	@for python in $(PYTHONS); do \
		if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
		then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Postel needs Python 3.11 or newer with its venv module, and found none of: $(PYTHONS)." >&2; \
		echo "Install it (Debian, Ubuntu: apt install python3 python3-venv) or name it: make setup PYTHONS=/path/to/python3" >&2; \
		exit 1; \
	fi; \
	echo "Making .venv with $$found ($$("$$found" --version)) ..."; \
	"$$found" -m venv --clear .venv

demo: setup ## PostgreSQL, server and sample telemetry; prints curl lines and stays up
	@$(BIN)/python -m exporter.demo $(ARGS)

test: setup ## the whole suite, against embedded PostgreSQL (ARGS="-k name" narrows it)
	@$(BIN)/python -m pytest $(SHARED) $(ARGS)

check: setup ## format, lint, types, house rules
	@echo "ruff format --check" && $(BIN)/ruff format --check .
	@echo "ruff check" && $(BIN)/ruff check .
	@echo "mypy --strict" && $(BIN)/python -m mypy
	@echo "pytest tests/house" && $(BIN)/python -m pytest tests/house

docs: setup ## docs/api.md anew, with what a server answers
	@$(BIN)/python -m tests.docs.api

bench: setup ## the numbers of the README, on this machine
	@$(BIN)/python -m bench $(ARGS)

bench-smoke: setup ## less than a minute of it: fails when Postel got slower beside J2 (ARGS=--record: what is compared with)
	@$(BIN)/python -m bench.smoke $(ARGS)

bench-growth: setup ## ingest, memory and reads at 1, 10 and 30 million spans: about an hour, 15 GB of disk
	@$(BIN)/python -m bench.growth $(ARGS)

bench-read: setup ## what the read API takes at 10 million spans, 5 million logs and 10 million points, beside J2
	@$(BIN)/python -m bench.read $(ARGS)

bench-small: setup ## small requests from 64 clients, and their latency at half of peak
	@$(BIN)/python -m bench.small $(ARGS)

bench-half-core: setup ## the same under a CPU limit of 500m for the server, where cgroups may be written
	@$(BIN)/python -m bench.half_core $(ARGS)

bench-peers: setup ## Postel beside Phoenix, MLflow and the Collector's postgresexporter, installed below build/peers
	@$(BIN)/python -m bench.peers $(ARGS)

# Installed beside .venv, as nothing else needs it; Linux on x86-64 and the Pythons that it is built for only.
FUZZ_S ?= 300
FUZZER := atheris==3.0.0 --hash=sha256:8a5c8a781467c187da40fd29139784193e2647058831f837f675d0bb8cbd8746
fuzz: setup ## the decoders under a coverage-guided fuzzer, for FUZZ_S seconds (Python 3.11)
	@mkdir -p build/fuzz && echo "$(FUZZER)" > build/fuzz/requirements.txt
	@test -d build/fuzz/atheris || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps \
		--only-binary :all: --require-hashes --target build/fuzz/atheris -r build/fuzz/requirements.txt
	@PYTHONPATH=build/fuzz/atheris $(BIN)/python -m tests.fuzz -max_total_time=$(FUZZ_S) -max_len=20000 -artifact_prefix=build/fuzz/ $(ARGS)

soak: setup ## every fault of docs/reliability.md at full size, about 40 minutes (ARGS="--row 4 --scale 0.1" narrows it)
	@$(BIN)/python -m tests.faults $(ARGS)

# By the Collector's own builder. The versions in builder.yaml settle every other one; what only tests or other systems
# need is not fetched, which is why the builder's own `go mod tidy` is left out. (remove_all_sd: Prometheus scrapes fixed
# targets; what finds targets in a dozen clouds takes minutes to compile.)
COLLECTOR := build/collector/otelcol
BUILDER := go.opentelemetry.io/collector/cmd/builder@v$(shell awk '$$1 == "version:" { print $$2 }' manifests/collector/builder.yaml)
collector: $(COLLECTOR) ## a real OpenTelemetry Collector to test with, of the Go module proxy (minutes, once)
$(COLLECTOR): manifests/collector/builder.yaml
	@command -v go >/dev/null || { echo "The Collector is built with Go, which is not installed." >&2; exit 1; }
	@echo "Building the Collector: some minutes when it is new ..."
	@mkdir -p build
	@CGO_ENABLED=0 go run $(BUILDER) --config $< --skip-compilation --skip-get-modules
	@cd build/collector && CGO_ENABLED=0 GOFLAGS="-mod=mod -buildvcs=false" \
		go build -tags remove_all_sd -trimpath -ldflags "-s -w" -o otelcol .

# One lock for every Python from 3.11 on; pip's own settings of this machine must not get into it.
UV_COMPILE = build/lock/bin/uv --no-config pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make $@"
lock: build/lock/bin/uv ## requirements.lock anew, with the newest versions that pyproject.toml allows
	@$(UV_COMPILE) pyproject.toml --all-extras -o requirements.lock

# Of the versions in bench/peers/*.in; they have nothing to do with Postel's own.
lock-peers: build/lock/bin/uv
	@for peer in phoenix mlflow; do \
		$(UV_COMPILE) --no-annotate bench/peers/$$peer.in -o bench/peers/$$peer.txt || exit 1; done

.PHONY: build/lock/bin/uv
build/lock/bin/uv: | $(BIN)/pip
	@$(BIN)/python -m venv --clear build/lock
	@build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9

clean: ## remove what was made, but for data in .postel
	@rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
