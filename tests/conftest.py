"""Settings for all tests: Hypothesis, and where child processes find this checkout."""

import os

from hypothesis import settings

from tests.support import ROOT

# Child processes import the package and `tests.support` from here, whatever is installed.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])

settings.register_profile("keras_nasnet", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("keras_nasnet")
