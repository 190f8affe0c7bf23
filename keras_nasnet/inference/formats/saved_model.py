"""SavedModels, for TensorFlow and TensorFlow Serving: they run where neither Keras nor this package is installed."""

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_nasnet.common.documents import read_json
from keras_nasnet.common.files import StrPath
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.inference.formats.format import INPUT, OUTPUT, Format, Signature, in_batches
from keras_nasnet.inference.real_images import photographs
from keras_nasnet.models.predictor import Runner

SERVING = "serving_default"
SERVED_TOLERANCE = 0.05  # relative
METADATA = Path("assets.extra", "metadata.json")  # the folder that TensorFlow leaves to what is not the graph's


class SavedModelFormat(Format):
    """See the module."""

    name, suffix = "saved_model", ""
    reads = ("tensorflow",)

    def write(self, model: Any, path: Path, signature: Signature) -> None:
        """Write a folder of two signatures.

        "serving_default" takes `image_bytes`, encoded images, a string tensor (n,), and returns the most probable
        classes of each, the first one first: `labels`, a string tensor (n, 5), and `probabilities` (n, 5); of fewer
        classes than five, all. "images" takes `images`, preprocessed, float32, and returns all `probabilities`.
        """
        import keras
        import tensorflow as tf

        from keras_nasnet.inference.serving import serve

        archive = keras.export.ExportArchive()
        archive.track(model)
        classes = model.output_shape[-1]
        names = signature.metadata["class_names"] or [str(number) for number in range(classes)]
        preprocessing = Preprocessing.from_dict(signature.metadata["preprocessing"])

        def probabilities(images: Any) -> Any:
            return model(images, training=False)

        def serving_default(image_bytes: Any) -> dict[str, Any]:
            return serve(probabilities, preprocessing, names, image_bytes)

        def images_to_probabilities(images: Any) -> dict[str, Any]:
            return {OUTPUT: probabilities(images)}

        archive.add_endpoint(SERVING, serving_default, [tf.TensorSpec((signature.batch,), tf.string, "image_bytes")])
        archive.add_endpoint(INPUT, images_to_probabilities, [tf.TensorSpec(signature.shape, tf.float32, INPUT)])
        archive.write_out(os.fspath(path), verbose=False)
        (path / METADATA).parent.mkdir()
        (path / METADATA).write_text(json.dumps(signature.metadata), encoding="utf-8")

    def read(self, path: StrPath) -> "SavedModelRunner":
        return SavedModelRunner(path)

    def verify(self, runner: Runner, preprocessing: Preprocessing) -> None:
        assert isinstance(runner, SavedModelRunner)
        runner.check_serving(photographs(), preprocessing)


class SavedModelRunner:
    """A folder in TensorFlow; see `Runner`."""

    def __init__(self, path: StrPath):
        import tensorflow as tf

        if not Path(path, METADATA).is_file():
            raise ValueError(f"{path}: not an export of keras-nasnet, it has no {METADATA}")
        self.metadata: dict[str, Any] = read_json(Path(path, METADATA))
        self._saved = tf.saved_model.load(os.fspath(path))  # whose variables live as long as it does
        self.signatures = self._saved.signatures
        self.batch = self.signatures[INPUT].structured_input_signature[1][INPUT].shape[0]

    def run(self, images: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        function = self.signatures[INPUT]
        parts = in_batches(self.batch, images)
        return np.concatenate([function(**{INPUT: tf.constant(part)})[OUTPUT].numpy() for part in parts])

    def check_serving(self, images: Sequence[Image.Image], preprocessing: Preprocessing) -> None:
        """Check the answers to encoded images.

        Args:
            images: real ones.
            preprocessing: of the network, of the size for which `run` is asked.

        Raises:
            ValueError: if the probabilities are not those of the images, but for what a level of a pixel here and
                there makes: the graph's preprocessing is not Pillow.
        """
        import tensorflow as tf

        for image in images:
            buffer = io.BytesIO()
            image.save(buffer, "PNG")
            served = self.signatures[SERVING](image_bytes=tf.constant([buffer.getvalue()]))["probabilities"].numpy()[0]
            expected = np.sort(self.run(preprocessing(image))[0])[::-1][: len(served)]
            if not np.abs(served - expected).max() <= SERVED_TOLERANCE * expected[0]:
                raise ValueError("what is served of encoded images is not what the network gives: nothing is kept")


FORMAT = SavedModelFormat()
