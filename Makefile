# Few targets, each says what it does. `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
SOURCES ?=

.DEFAULT_GOAL := help
.PHONY: help run test lint bench asan soak deps-real build clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## Generate stubs and compile the Cython core in place
	@mkdir -p build && flock build/.lock $(BIN)/python setup.py -q build_stubs --inplace build_ext --inplace
