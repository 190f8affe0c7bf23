# Every target sets up what it needs: a .venv in the checkout, with the package installed in place.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# What must hold on every backend; training on JAX and PyTorch has a test of its own in `make test`.
CORE_TESTS := $(filter-out tests/test_benchmark.py,$(wildcard tests/test_*.py)) \
    tests/training/test_optimizer.py tests/training/test_augmentation.py tests/inference/test_folding_operations.py
export TF_CPP_MIN_LOG_LEVEL ?= 2

# Tests of what needs a runtime, and skip without.
RUNTIME_TESTS := tests/inference tests/cli/test_export.py

.PHONY: demo test test-inference test-detection test-slow test-backends test-jax lint types clean
.DELETE_ON_ERROR:

$(VENV)/installed: pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e '.[dev]'
	touch $@

$(VENV)/runtimes-installed: $(VENV)/installed
	$(BIN)/pip install --quiet -e '.[litert,onnx,openvino]'
	touch $@

# The Model Garden is a gigabyte more, and nothing else may need it.
$(VENV)/detection-installed: $(VENV)/installed
	$(BIN)/pip install --quiet -e '.[detection]'
	touch $@

$(VENV)/torch-installed: $(VENV)/installed
	$(BIN)/pip install --quiet torch==2.13.0
	touch $@

demo: $(VENV)/installed  ## classify photographs with the net that the package ships
	$(BIN)/python scripts/demo.py

test: $(VENV)/installed  ## all tests but the slow ones and those that need more than the package
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow' --ignore tests/detection \
	    $(RUNTIME_TESTS:%=--ignore %)

test-inference: $(VENV)/runtimes-installed
	$(BIN)/python -m pytest -n 2 --dist load -m 'not slow' $(RUNTIME_TESTS)

test-detection: $(VENV)/detection-installed
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow' tests/detection

test-slow: $(VENV)/detection-installed $(VENV)/runtimes-installed  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

test-backends: $(VENV)/torch-installed  ## the core's tests on each backend
	for backend in tensorflow jax torch; do \
	    KERAS_BACKEND=$$backend $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow' $(CORE_TESTS) \
	    || exit 1; done

test-jax: $(VENV)/installed
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow' $(CORE_TESTS)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist *.egg-info
