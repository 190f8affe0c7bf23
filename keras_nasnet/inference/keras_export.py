"""Keras' own `model.export`, and runtimes without their words."""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_nasnet.inference.formats import INPUT, Signature


def keras_export(model: Any, path: Path, form: str, signature: Signature, **options: Any) -> None:
    """Writes a model in a format of Keras, of a signature's shapes."""
    import keras

    spec = keras.InputSpec(shape=signature.shape, dtype="float32", name=INPUT)
    model.export(os.fspath(path), format=form, verbose=False, input_signature=[spec], **options)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drops what converters and runtimes print, also what their C++ writes past Python; errors are raised anyway."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        kept = os.dup(2)
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
        os.close(nothing)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
