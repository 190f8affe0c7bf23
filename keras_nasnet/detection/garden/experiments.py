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
from official.vision.tasks import maskrcnn as maskrcnn_task
from official.vision.tasks import retinanet as retinanet_task

from keras_nasnet.detection.garden.backbone import TYPE, NASNetBackboneConfig

FASTER_RCNN = "fasterrcnn_nasnetfpn_coco"
FASTER_RCNN_LARGE = "fasterrcnn_nasnetfpn_large_coco"
RETINANET = "retinanet_nasnet_coco"

# The paper's detectors ran at 600 and 1200 pixels, which are no multiples of 64: here 640 and 1216.
_MOBILE, _LARGE = "nasnet_a_4_1056_imagenet", "nasnet_a_6_4032_imagenet"


@dataclasses.dataclass
class BackboneConfig(backbones.Backbone):
    """Config of a backbone: one of the Garden's, or NASNet."""

    type: str | None = TYPE
    nasnet: NASNetBackboneConfig = dataclasses.field(default_factory=NASNetBackboneConfig)


@dataclasses.dataclass
class FasterRCNNConfig(maskrcnn.MaskRCNN):
    """Config of a Faster R-CNN without masks on a NASNet."""

    include_mask: bool = False
    backbone: BackboneConfig = dataclasses.field(default_factory=BackboneConfig)
    mask_head: maskrcnn.MaskHead | None = None
    mask_sampler: maskrcnn.MaskSampler | None = None
    mask_roi_aligner: maskrcnn.MaskROIAligner | None = None


@dataclasses.dataclass
class FasterRCNNTaskConfig(maskrcnn.MaskRCNNTask):
    """Config of the task that trains it."""

    model: FasterRCNNConfig = dataclasses.field(default_factory=FasterRCNNConfig)


@dataclasses.dataclass
class RetinaNetConfig(retinanet.RetinaNet):
    """Config of a RetinaNet on a NASNet."""

    backbone: BackboneConfig = dataclasses.field(default_factory=BackboneConfig)


@dataclasses.dataclass
class RetinaNetTaskConfig(retinanet.RetinaNetTask):
    """Config of the task that trains it."""

    model: RetinaNetConfig = dataclasses.field(default_factory=RetinaNetConfig)


def check_size(model: Any) -> None:
    """Check a model's input size.

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


@task_factory.register_task_cls(FasterRCNNTaskConfig)
class FasterRCNNTask(maskrcnn_task.MaskRCNNTask):
    """The Garden's task, which checks the input size first."""

    def build_model(self) -> Any:
        check_size(self.task_config.model)
        return super().build_model()


@task_factory.register_task_cls(RetinaNetTaskConfig)
class RetinaNetTask(retinanet_task.RetinaNetTask):
    """The Garden's task, which checks the input size first."""

    def build_model(self) -> Any:
        check_size(self.task_config.model)
        return super().build_model()


@exp_factory.register_config_factory(FASTER_RCNN)
def fasterrcnn_nasnetfpn_coco() -> cfg.ExperimentConfig:
    """Return the experiment of a Faster R-CNN with a feature pyramid on NASNetMobile, 640 x 640, on COCO."""
    return _faster_rcnn(_MOBILE, 640)


@exp_factory.register_config_factory(FASTER_RCNN_LARGE)
def fasterrcnn_nasnetfpn_large_coco() -> cfg.ExperimentConfig:
    """Return the experiment of a Faster R-CNN with a feature pyramid on NASNetLarge, 1216 x 1216, on COCO."""
    return _faster_rcnn(_LARGE, 1216)


@exp_factory.register_config_factory(RETINANET)
def retinanet_nasnet_coco() -> cfg.ExperimentConfig:
    """Return the experiment of a RetinaNet on NASNetMobile, 640 x 640, on COCO."""
    config = exp_factory.get_exp_config("retinanet_resnetfpn_coco")
    _start_from_nothing(config)
    config.task = _as(RetinaNetTaskConfig, config.task, model=_as(RetinaNetConfig, config.task.model))
    config.task.model.backbone = _backbone(_MOBILE)
    config.task.model.input_size = [640, 640, 3]
    return config


def _faster_rcnn(model_id: str, size: int) -> cfg.ExperimentConfig:
    config = exp_factory.get_exp_config("fasterrcnn_resnetfpn_coco")
    _start_from_nothing(config)
    config.task = _as(FasterRCNNTaskConfig, config.task, model=_as(FasterRCNNConfig, config.task.model))
    config.task.model.backbone = _backbone(model_id)
    config.task.model.input_size = [size, size, 3]
    return config


def _start_from_nothing(config: cfg.ExperimentConfig) -> None:
    """The Garden's experiment names a ResNet's checkpoint; `zoo backbone` writes one for a NASNet."""
    config.task.init_checkpoint = None
    config.task.init_checkpoint_modules = "backbone"


def _backbone(model_id: str) -> BackboneConfig:
    return BackboneConfig(type=TYPE, nasnet=NASNetBackboneConfig(model_id=model_id))


def _as(kind: type, config: hyperparams.Config, **replaced: Any) -> Any:
    """The same settings as another class of config; those that `kind` alone has keep their defaults."""
    names = {field.name for field in dataclasses.fields(kind)} - {"backbone"}
    return kind(**{name: getattr(config, name) for name in names if hasattr(config, name)} | replaced)
