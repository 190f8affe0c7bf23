"""What computes, in words; `make test-torch` and `make test-jax` see it on the other backends."""

import os
import re

from keras_nasnet.common.hardware import hardware


def test_processors_are_named():
    found = hardware()
    assert re.fullmatch(rf"{os.cpu_count()} CPU cores, \w+|\d+ (x .+|GPU)", found), found
