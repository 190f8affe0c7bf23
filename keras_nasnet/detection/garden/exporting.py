"""A trained detector as a SavedModel, by the Garden's exporter."""

import os
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from official.vision.serving.export_saved_model_lib import export_inference_graph

from keras_nasnet.common.files import replacing_folder
from keras_nasnet.detection.detector_folder import CHECKPOINTS, write_class_names
from keras_nasnet.detection.garden.model import FasterRCNN
from keras_nasnet.detection.garden.params import without_paths, write_params

TOLERANCE = 1e-4  # relative, between the export's outputs and the live model's


def export(source: str | os.PathLike[str], folder: str | os.PathLike[str]) -> Path:
    """Write a detector as a SavedModel that needs neither this package nor the Model Garden.

    The signature "serving_default" takes `inputs`, uint8 (batch, height, width, 3) of any size;
    the signature "image_bytes" takes encoded JPEG or PNG images, a string tensor (batch,). Both
    return detection_boxes (batch, 100, 4) as top, left, bottom, right in pixels of the network's
    input, detection_scores, detection_classes (from 1 up; 0 is nothing), num_detections, and image_info,
    whose third row divides boxes back to the image's own pixels. Beside the SavedModel: params.yaml,
    class_names.json and checkpoint/, from which `FasterRCNN.load` makes the live model again.

    Args:
        source: what `FasterRCNN.load` takes.
        folder: to be written; it appears when the export was loaded again and compared.

    Returns:
        The folder.

    Raises:
        ValueError: if there is no detector, the folder is there, or the export differs from the model.

    Example:
        A run's folder becomes a SavedModel; here there is no run yet:

        >>> export("runs/detect-raccoon", "raccoon")
        Traceback (most recent call last):
        ValueError: runs/detect-raccoon: no such folder
    """
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f"{folder} is there: choose another folder")
    detector = FasterRCNN.load(source)
    with replacing_folder(folder) as written:
        write_export(detector, written)
    return folder


def write_export(detector: FasterRCNN, folder: Path) -> None:
    """Write a detector as a SavedModel into an empty folder, and compare what it computes.

    Raises:
        ValueError: if the export differs from the model; see `compare`.
    """
    params = without_paths(detector.params)
    with tempfile.TemporaryDirectory() as temporary:
        prefix = tf.train.Checkpoint(model=detector.model).write(os.path.join(temporary, "ckpt"))
        export_inference_graph(
            input_type="image_tensor",
            batch_size=None,
            input_image_size=list(detector.size),
            params=params,
            checkpoint_path=prefix,
            export_dir=str(folder),
            export_module=detector.module,
            export_checkpoint_subdir=CHECKPOINTS,
            function_keys={"image_tensor": "serving_default", "image_bytes": "image_bytes"},
        )
    write_params(params, folder)
    write_class_names(detector.class_names, folder)
    compare(detector, folder)


def compare(detector: FasterRCNN, folder: Path) -> float:
    """Load an export and compare its detections on an image of noise with the live model's.

    Returns:
        The largest difference relative to the largest value.

    Raises:
        ValueError: if it is more than `TOLERANCE`.
    """
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    height, width = detector.size
    image = np.random.default_rng(0).integers(0, 256, (1, height, width + 17, 3), np.uint8)
    theirs = serve(tf.constant(image))
    inputs, anchors, infos = detector.module.preprocess(tf.constant(image))
    ours = detector.model.call(images=inputs, image_shape=infos[:, 1, :], anchor_boxes=anchors, training=False)
    worst = 0.0
    for name in ("detection_boxes", "detection_scores", "num_detections"):
        ours_value, theirs_value = (np.asarray(outputs[name], np.float64) for outputs in (ours, theirs))
        worst = max(worst, float(np.abs(ours_value - theirs_value).max() / max(1.0, np.abs(ours_value).max())))
    if worst > TOLERANCE:
        raise ValueError(
            f"the export differs from the model by {worst:.1e}, more than {TOLERANCE:.0e}: nothing is kept"
        )
    return worst
