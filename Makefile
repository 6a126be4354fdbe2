# Few targets, each says what it does. `make help` lists them.
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
SOURCES ?=
ARGS    ?=
# Most tests wait for real processes: more of them than cores run well beside each other.
WORKERS ?= 3

# The relay's restreamer, where GStreamer's RTSP server is (make deps-real).
PEER := $(shell /usr/bin/python3 -c 'import gi; gi.require_version("GstRtspServer", "1.0")' 2>/dev/null && echo --peer)

COMPILED := $(shell find broker media_center simulator tui -name '*.pyx' -o -name '*.pxd' 2>/dev/null)
BUILT    := setup.py pyproject.toml requirements.lock $(COMPILED) $(wildcard proto/trueframe/v1/*.proto)
FROZEN   := $(foreach p,frames broker footage,--path trueframe/v1/$(p).proto)

.DEFAULT_GOAL := help
.PHONY: help run test lint bench asan fuzz soak deps-real build lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.run ## Watch SOURCES="rtsp://… clip.mp4", or four simulated cameras; ARGS="--headless --for 60s"
	@$(BIN)/trueframe up $(if $(SOURCES),$(SOURCES),--simulate 4) $(ARGS)

test: $(VENV)/.dev ## Run every test but the long ones
	@$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

soak: $(VENV)/.dev ## Run the long tests
	@$(BIN)/python -m pytest -m slow --timeout 3600

lint: $(VENV)/.dev ## Format check, lint, types, import contracts, protos
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports
	@cd proto && ../$(BIN)/buf lint
	@cd proto && ../$(BIN)/buf breaking $(FROZEN) --against frozen-v1.binpb

bench: $(VENV)/.dev ## Run the benchmarks and print one JSON object each
	@$(BIN)/python -m benchmarks.relay --json
	@$(BIN)/python -m benchmarks.relay --json --cameras 100 --fps 15 --subscribers 4 --seconds 60 --repeats 1 $(PEER)
	@$(BIN)/python -m benchmarks.fanout --json
	@$(BIN)/python -m benchmarks.isolation --json
	@$(BIN)/python -m benchmarks.ring --json
	@$(BIN)/python -m benchmarks.alarm_latency --json
	@$(BIN)/python -m benchmarks.detection --json
	@$(BIN)/python -m benchmarks.events --json

asan: $(VENV)/.dev ## Run the compiled core's tests under AddressSanitizer
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash tests/asan.sh

fuzz: $(VENV)/.dev ## Fuzz all parsers under AddressSanitizer, ten million inputs; ARGS="--seed 7 --inputs 1000000"
	@sh tests/fuzz.sh --inputs 10000000 --workers 2 $(ARGS)

deps-real: ## Install the real peers that tests talk to (Debian, as root): GStreamer RTSP server, ffmpeg, VLC, FerretDB
	@deploy/install-real-peers.sh
	@deploy/build-ferretdb.py

build: ## Generate stubs and compile the Cython core in place
	@mkdir -p build && flock build/.lock $(BIN)/python setup.py -q build_stubs --inplace build_ext --inplace

lock: $(VENV)/.dev ## Renew requirements.lock from pyproject.toml
	@$(BIN)/pip-compile -q --extra dev --extra mongodb --extra s3 --strip-extras --no-emit-find-links --no-header --allow-unsafe -o requirements.lock pyproject.toml

clean: ## Remove what was built, the virtual environment included
	@rm -rf build dist *.egg-info $(VENV) trueframe/v1 .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find broker media_center simulator tui -name '*.so' -delete

$(VENV)/bin/pip:
	@deploy/check-build-tools.sh $(PYTHON)
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BUILT) | $(VENV)/bin/pip
	@echo "installing trueframe into $(VENV) (the first time takes a minute or two)"
	@PYTHONWARNINGS=ignore $(BIN)/pip install -q --disable-pip-version-check -c requirements.lock -e .
	@touch $@

$(VENV)/.dev: $(BUILT) | $(VENV)/bin/pip
	@echo "installing trueframe and its development tools into $(VENV) (the first time takes a few minutes)"
	@PYTHONWARNINGS=ignore $(BIN)/pip install -q --disable-pip-version-check -c requirements.lock -e '.[dev]'
	@touch $@ $(VENV)/.run
