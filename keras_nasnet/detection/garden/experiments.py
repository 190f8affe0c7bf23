"""Experiments of the Model Garden with a NASNet backbone: importing this module registers them.

`fasterrcnn_nasnetfpn_coco` and `retinanet_nasnet_coco` are `fasterrcnn_resnetfpn_coco` and
`retinanet_resnetfpn_coco` with another backbone, and take the same YAML and flags.
"""

import dataclasses
from typing import Any

from official.core import config_definitions as cfg
from official.core import exp_factory, task_factory
from official.modeling import hyperparams
from official.vision.configs import backbones, maskrcnn, retinanet
from official.vision.tasks.maskrcnn import MaskRCNNTask
from official.vision.tasks.retinanet import RetinaNetTask

from keras_nasnet.detection.garden.backbone import TYPE, NASNet

FASTER_RCNN = "fasterrcnn_nasnetfpn_coco"
FASTER_RCNN_LARGE = "fasterrcnn_nasnetfpn_large_coco"
RETINANET = "retinanet_nasnet_coco"

# The paper's detectors ran at 600 and 1200 pixels, which are no multiples of 64: here 640 and 1216.
_MOBILE, _LARGE = "nasnet_a_4_1056_imagenet", "nasnet_a_6_4032_imagenet"


@dataclasses.dataclass
class Backbone(backbones.Backbone):
    """The Garden's backbones, and NASNet."""

    type: str | None = TYPE
    nasnet: NASNet = dataclasses.field(default_factory=NASNet)


@dataclasses.dataclass
class FasterRCNNModel(maskrcnn.MaskRCNN):
    """Config of a Faster R-CNN without masks on a NASNet."""

    include_mask: bool = False
    backbone: Backbone = dataclasses.field(default_factory=Backbone)
    mask_head: maskrcnn.MaskHead | None = None
    mask_sampler: maskrcnn.MaskSampler | None = None
    mask_roi_aligner: maskrcnn.MaskROIAligner | None = None


@dataclasses.dataclass
class FasterRCNNTask(maskrcnn.MaskRCNNTask):
    """Config of its task."""

    model: FasterRCNNModel = dataclasses.field(default_factory=FasterRCNNModel)


@dataclasses.dataclass
class RetinaNetModel(retinanet.RetinaNet):
    """Config of a RetinaNet on a NASNet."""

    backbone: Backbone = dataclasses.field(default_factory=Backbone)


@dataclasses.dataclass
class NASNetRetinaNetTask(retinanet.RetinaNetTask):
    """Config of its task."""

    model: RetinaNetModel = dataclasses.field(default_factory=RetinaNetModel)


def check_size(model: Any) -> None:
    """Checks a model's input size.

    Raises:
        ValueError: if it is no multiple of the deepest level's stride, 2 ** max_level. The Garden would
            pad images to the next multiple, and shapes differ later.
    """
    stride = 2**model.max_level
    if any(side % stride for side in model.input_size[:2]):
        height, width = model.input_size[:2]
        raise ValueError(
            f"input_size is {height} x {width}: both must be multiples of 2 ** max_level = {stride}, "
            f"for example {-(-height // stride) * stride} x {-(-width // stride) * stride}"
        )


@task_factory.register_task_cls(FasterRCNNTask)
class FasterRCNN(MaskRCNNTask):
    """The Garden's task, with the input size checked first."""

    def build_model(self) -> Any:
        check_size(self.task_config.model)
        return super().build_model()


@task_factory.register_task_cls(NASNetRetinaNetTask)
class RetinaNet(RetinaNetTask):
    """The Garden's task, with the input size checked first."""

    def build_model(self) -> Any:
        check_size(self.task_config.model)
        return super().build_model()


@exp_factory.register_config_factory(FASTER_RCNN)
def fasterrcnn_nasnetfpn_coco() -> cfg.ExperimentConfig:
    """Faster R-CNN with a feature pyramid on NASNetMobile, 640 x 640, on COCO."""
    return _faster_rcnn(_MOBILE, 640)


@exp_factory.register_config_factory(FASTER_RCNN_LARGE)
def fasterrcnn_nasnetfpn_large_coco() -> cfg.ExperimentConfig:
    """Faster R-CNN with a feature pyramid on NASNetLarge, 1216 x 1216, on COCO."""
    return _faster_rcnn(_LARGE, 1216)


@exp_factory.register_config_factory(RETINANET)
def retinanet_nasnet_coco() -> cfg.ExperimentConfig:
    """RetinaNet on NASNetMobile, 640 x 640, on COCO."""
    config = exp_factory.get_exp_config("retinanet_resnetfpn_coco")
    _start_from_nothing(config)
    config.task = _as(NASNetRetinaNetTask, config.task, model=_as(RetinaNetModel, config.task.model))
    config.task.model.backbone = _backbone(_MOBILE)
    config.task.model.input_size = [640, 640, 3]
    return config


def _faster_rcnn(model_id: str, size: int) -> cfg.ExperimentConfig:
    config = exp_factory.get_exp_config("fasterrcnn_resnetfpn_coco")
    _start_from_nothing(config)
    config.task = _as(FasterRCNNTask, config.task, model=_as(FasterRCNNModel, config.task.model))
    config.task.model.backbone = _backbone(model_id)
    config.task.model.input_size = [size, size, 3]
    return config


def _start_from_nothing(config: cfg.ExperimentConfig) -> None:
    """The Garden's experiment names a ResNet's checkpoint; `zoo backbone` writes one for a NASNet."""
    config.task.init_checkpoint = None
    config.task.init_checkpoint_modules = "backbone"


def _backbone(model_id: str) -> Backbone:
    return Backbone(type=TYPE, nasnet=NASNet(model_id=model_id))


def _as(kind: type, config: hyperparams.Config, **replaced: Any) -> Any:
    """The same settings as another class of config; those that `kind` alone has keep their defaults."""
    names = {field.name for field in dataclasses.fields(kind)} - {"backbone"}
    return kind(**{name: getattr(config, name) for name in names if hasattr(config, name)} | replaced)
