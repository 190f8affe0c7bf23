"""Photographs of ImageNet, where the reference data are."""

import os
from pathlib import Path

import pytest


def originals() -> list[Path]:
    """Returns the files, of many sizes; skips the test where there are none."""
    root = os.environ.get("KERAS_NASNET_TEST_DATA")
    if not root:
        pytest.skip("KERAS_NASNET_TEST_DATA is not set: the folder that holds imagenet_samples/originals")
    files = sorted(Path(root, "imagenet_samples", "originals").glob("*"))
    if not files:
        pytest.skip(f"{root} has no imagenet_samples/originals")
    return files
