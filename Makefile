# `make demo` shows the main job, `make test` finds what broke, `make test-all` checks all there is to check.
# They make .venv and install into it what is missing; the second time that takes no time.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

PYTEST := $(BIN)/python -m pytest --quiet --numprocesses 2 --dist worksteal --durations 30

.PHONY: demo test test-all lint tests all-tests bench clean help

help:
	@echo "make demo      build shufflenet_v1_2.0x_g3 in PyTorch and MindSpore and prove them equal"
	@echo "make test      lint, types, layers, and a test for everything that can break"
	@echo "make test-all  the same, and every network, combination and repetition: what CI runs"
	@echo "make bench     measure forward passes beside the peers (benchmarks/results/)"

demo: $(VENV)/installed-all
	$(BIN)/zoo demo $(if $(ZOO_DATA),--data $(ZOO_DATA)/cifar10_exact_subset.npz)

test: lint tests

test-all: lint all-tests

lint: $(VENV)/installed-dev
	@echo "== ruff: style and errors"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@echo "== mypy: types"
	@$(BIN)/mypy
	@echo "== import-linter: layers"
	@$(BIN)/lint-imports --no-cache

tests: $(VENV)/installed-dev
	@echo "== pytest: one of each kind"
	@$(PYTEST) -m "not exhaustive"

all-tests: $(VENV)/installed-dev
	@echo "== pytest: all"
	@$(PYTEST)

bench: $(VENV)/installed-dev
	$(BIN)/python benchmarks/forward.py

$(VENV)/bin/python:
	@echo "== making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed-all: pyproject.toml | $(VENV)/bin/python
	@echo "== installing the package with PyTorch, MindSpore and ONNX (some GB, a few minutes)"
	@$(PIP) --editable '.[all]'
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(VENV)/bin/python
	@echo "== installing the package, the frameworks and the tools of development (some GB, a few minutes)"
	@$(PIP) --editable '.[all,dev]'
	@touch $(VENV)/installed-all $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A processor with AVX2 alone, as far as libraries can be told to act like one: CONTRIBUTING.md says which.
AVX2 := ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 OPENBLAS_CORETYPE=Haswell \
	NPY_DISABLE_CPU_FEATURES="AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"

.PHONY: rehearse
rehearse: $(VENV)/installed-dev
	@echo "== pytest: what depends on arithmetic, with AVX2 alone"
	@env $(AVX2) $(BIN)/python -m pytest --quiet -m "not exhaustive" tests/test_operators.py tests/test_conditioning.py \
		tests/test_quantization.py tests/test_parity.py tests/test_peers.py
