"""Other backends than that of the tests' own process."""

import pytest

# For tests that start a process on the backend: `make test-jax` and `make test-torch` run them.
OTHER_BACKENDS = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("jax", "torch")]
