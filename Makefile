# Every target sets up what it needs: a .venv in the checkout, with the package installed in place.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

# A worker that dies ends the run. A file's tests stay together: what they share is made once.
PYTEST := $(BIN)/python -X faulthandler -m pytest -n 2 --dist loadfile --max-worker-restart 0
QUICK := -m 'not slow and not security and not jax and not torch'
# What must hold on every backend.
CORE_TESTS := tests/layers tests/models/test_model.py tests/models/test_backbone.py tests/accelerate tests/common/test_hardware.py \
    tests/training/test_optimizer.py tests/training/test_augmentation.py \
    tests/training/test_augmentation_layers.py tests/inference/test_folding_operations.py
# Tests that start processes on another backend, and compare with what TensorFlow gives.
BACKEND_TESTS := tests/data tests/training tests/search/controller tests/zoo/test_evaluate.py
# Tests of what needs a runtime or the Model Garden, and skip without.
EXTRA_TESTS := tests/inference tests/cli/test_export.py tests/detection

.PHONY: demo test test-all test-extras test-security test-slow test-backends test-jax test-torch coverage lint types wheel clean
.DELETE_ON_ERROR:

$(VENV)/installed: pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e '.[dev]'
	touch $@

$(VENV)/torch-installed: $(VENV)/installed
	$(BIN)/pip install --quiet torch==2.13.0
	touch $@

# Runtimes and the Model Garden, a gigabyte and more, which nothing else may need.
$(VENV)/all-installed: $(VENV)/installed
	$(BIN)/pip install --quiet -e '.[all,dev]'
	touch $@

# The package as a wheel lays it out, for tools that read the tree: search/ and zoo/ lie below keras_nasnet/ there.
build/layout: $(VENV)/installed $(shell find keras_nasnet search zoo -name '*.py')
	rm -rf $@
	$(BIN)/python setup.py --quiet build_py --build-lib $@ 2> build.log || { cat build.log; exit 1; }
	rm -f build.log
	touch $@

demo: $(VENV)/installed  ## classify photographs with the net that the package ships
	$(BIN)/python scripts/demo.py

test: $(VENV)/installed  ## all tests but the slow ones and those that need more than the package
	$(PYTEST) $(QUICK) $(EXTRA_TESTS:%=--ignore %)

test-all: $(VENV)/all-installed  ## all tests but the slow ones, with all extras in one environment
	$(PYTEST) $(QUICK)

test-extras: $(VENV)/all-installed  ## the tests of what needs a runtime or the Model Garden
	$(PYTEST) $(QUICK) $(EXTRA_TESTS)

test-security: $(VENV)/all-installed $(VENV)/torch-installed  ## hostile and damaged inputs of every format, 500 of each
	$(PYTEST) -m security

test-slow: $(VENV)/all-installed  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow --timeout 3600

test-jax: $(VENV)/installed  ## the core's tests on JAX
	KERAS_BACKEND=jax $(PYTEST) $(QUICK) $(CORE_TESTS)
	$(PYTEST) -m 'jax and not slow' $(BACKEND_TESTS)

test-torch: $(VENV)/torch-installed  ## the core's tests on PyTorch
	KERAS_BACKEND=torch $(PYTEST) $(QUICK) $(CORE_TESTS)
	$(PYTEST) -m 'torch and not slow' $(BACKEND_TESTS)

test-backends: test-jax test-torch  ## the core's tests on each backend
	KERAS_BACKEND=tensorflow $(PYTEST) $(QUICK) $(CORE_TESTS)

coverage: $(VENV)/all-installed  ## lines and branches that the tests reach, with all extras
	$(PYTEST) $(QUICK) --cov --cov-report=term

lint: build/layout  ## style, and which module may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd build/layout && ../../$(BIN)/lint-imports --no-cache --config ../../pyproject.toml

types: build/layout  ## types of the package as it is imported, and of the scripts
	$(BIN)/mypy -p keras_nasnet
	$(BIN)/mypy scripts

wheel: $(VENV)/installed  ## the wheel and the source distribution, in dist/
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) build dist *.egg-info
