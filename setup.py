"""Maps the folders search/ and zoo/ below keras_nasnet; everything else is in pyproject.toml."""

from setuptools import find_namespace_packages, setup

PACKAGE_DIR = {"keras_nasnet": "keras_nasnet", "keras_nasnet.search": "search", "keras_nasnet.zoo": "zoo"}

setup(
    package_dir=PACKAGE_DIR,
    packages=[
        found
        for package, folder in PACKAGE_DIR.items()
        for found in [package, *(f"{package}.{name}" for name in find_namespace_packages(folder, exclude=["*__*"]))]
    ],
)
