"""Classifies a real photograph with the network that the package ships.

    python scripts/demo.py

The photograph lies inside scikit-image (extra `[demo]`): "chelsea", a cat by Stefan van der
Walt, in the public domain (CC0).
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from keras_nasnet.cli.classify import show
from keras_nasnet.zoo.loading import load

PHOTOGRAPHS = ("chelsea.png",)


def main() -> int:
    package = find_spec("skimage")
    if package is None or package.origin is None:
        print("The photographs are in scikit-image: pip install 'keras-nasnet[demo]'", file=sys.stderr)
        return 2
    folder = Path(package.origin).parent / "data"
    print(f"Photographs from scikit-image, {folder}\n", flush=True)
    return 2 if show(load("nasnet_a_cifar10"), [folder / name for name in PHOTOGRAPHS], top=3) else 0


if __name__ == "__main__":
    sys.exit(main())
