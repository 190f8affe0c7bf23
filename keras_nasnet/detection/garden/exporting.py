"""A trained detector as a SavedModel, by the Garden's exporter."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from official.vision.serving.export_saved_model_lib import export_inference_graph

from keras_nasnet.detection.garden import run_folder
from keras_nasnet.detection.garden.model import FasterRCNN

TOLERANCE = 1e-4  # relative, between the export's outputs and the live model's


def export(source: str | os.PathLike[str], folder: str | os.PathLike[str]) -> Path:
    """Writes a detector as a SavedModel that needs neither this package nor the Model Garden.

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
    """
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f"{folder} is there: choose another folder")
    detector = FasterRCNN.load(source)
    params = without_places(detector.params)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        written = Path(temporary, "export")
        prefix = tf.train.Checkpoint(model=detector.model).write(os.path.join(temporary, "weights", "ckpt"))
        export_inference_graph(
            input_type="image_tensor",
            batch_size=None,
            input_image_size=list(detector.size),
            params=params,
            checkpoint_path=prefix,
            export_dir=str(written),
            export_module=detector.module,
            export_checkpoint_subdir=run_folder.CHECKPOINTS,
            function_keys={"image_tensor": "serving_default", "image_bytes": "image_bytes"},
        )
        run_folder.write_params(params, written)
        run_folder.write_class_names(detector.class_names, written)
        compare(detector, written)
        shutil.move(written, folder)
    return folder


def compare(detector: FasterRCNN, folder: Path) -> float:
    """Loads an export and compares its detections on an image of noise with the live model's.

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


def without_places(params: Any) -> Any:
    """The experiment without the paths of the machine that trained it."""
    kept = run_folder.copy_of(params)
    kept.override(
        {
            "task": {
                "init_checkpoint": None,
                "annotation_file": None,
                "train_data": {"input_path": ""},
                "validation_data": {"input_path": ""},
            }
        },
        is_strict=True,
    )
    return kept
