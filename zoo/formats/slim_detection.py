"""Names of the TF Object Detection API's Faster R-CNN on NASNet: TF-slim's, in a scope for each stage.

Source: `faster_rcnn_nas_feature_extractor.py` and `faster_rcnn_meta_arch.py`, which made
`faster_rcnn_nas_coco_2018_01_28`.
"""

import re
from collections.abc import Iterable

FIRST = "FirstStageFeatureExtractor"  # from the images to the proposal map
SECOND = "SecondStageFeatureExtractor"  # behind it: the second reduction cell and the cells of the last stage
# On the features stand the proposal network (a convolution in no scope, then its predictor) and the box predictor.
HEADS = ("Conv/", "FirstStageBoxPredictor/", "SecondStageBoxPredictor/")


def is_detector(available: Iterable[str]) -> bool:
    """Return whether the names of a checkpoint's tensors are a detector's."""
    return any(name.startswith((f"{FIRST}/", f"{SECOND}/")) for name in available)


def detector_names(names: dict[str, str], last_proposal_cell: int) -> dict[str, str]:
    """Return the detector's name of each variable, by the variable's path.

    Args:
        names: TF-slim's ("cell_12/beginning_bn/gamma") by path.
        last_proposal_cell: number of the last normal cell of the first stage; 11 for Large.

    Raises:
        ValueError: if the network has a classifier, which no detector has.
    """
    if any(path.startswith(("predictions/", "auxiliary_")) for path in names):
        raise ValueError("a detector has no classifier: take a network without one (include_top=False, --no-top)")
    return {path: f"{_stage(name, last_proposal_cell)}/{name}" for path, name in names.items()}


def _stage(name: str, last_proposal_cell: int) -> str:
    cell = re.match(r"cell_(\d+)/", name)
    is_behind = name.startswith("reduction_cell_1/") or (cell is not None and int(cell[1]) > last_proposal_cell)
    return SECOND if is_behind else FIRST
