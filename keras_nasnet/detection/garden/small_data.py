"""The experiment for a small dataset: anchors, heads and a schedule that suit hundreds or thousands of images."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from official.core import exp_factory
from official.modeling import optimization

from keras_nasnet.detection.anchors import ANCHOR_SIZE, NUM_SCALES, pyramid_levels
from keras_nasnet.detection.data.records import Records
from keras_nasnet.detection.garden.backbone import TYPE, NASNetBackboneConfig
from keras_nasnet.detection.garden.experiments import FASTER_RCNN, BackboneConfig

LOOP = 50  # steps, about, between two looks at a run
CHECKPOINTS, EVALUATIONS = 40, 10  # of a run, about


def small_data_experiment(
    backbone: NASNetBackboneConfig,
    train: Records,
    validation: Records,
    sides: Sequence[float],
    *,
    size: int,
    batch: int,
    epochs: int,
    learning_rate: float,
    init_checkpoint: str | None,
    seed: int,
    dtype: str = "float32",
) -> Any:
    """Return the Garden's experiment for hundreds or thousands of images.

    The heads are a fraction of those for COCO: a feature pyramid of 128 channels, one convolution
    and 512 units for each proposal, 300 proposals, of which training sees 64.

    Args:
        backbone: the network.
        train: images to learn from.
        validation: images that are only evaluated.
        sides: square roots of the training boxes' areas in pixels of the network's input; see `box_sides`.
        size: height and width of the network's input; a multiple of 32.
        batch: images of one step, over all GPUs of the machine.
        epochs: passes over the training images.
        learning_rate: the highest, for SGD with momentum 0.9; reached in a twentieth of the steps,
            then falling to 0 along a cosine.
        init_checkpoint: of the backbone, or None to start from nothing.
        seed: of the order of images and their augmentation.
        dtype: "float32" or "bfloat16".
    """
    steps_per_epoch = max(1, train.num_images // batch)
    steps = steps_per_epoch * epochs
    # What the trainer does without coming back to Python: whole epochs of small data, parts of those of large.
    loop = min(LOOP, steps_per_epoch) * max(1, round(LOOP / steps_per_epoch))
    lowest, highest = pyramid_levels(sides, size)
    gpus = len(tf.config.list_physical_devices("GPU"))
    reader: dict[str, Any] = {"dtype": dtype, "seed": seed, "shuffle_buffer_size": 1000}
    experiment = exp_factory.get_exp_config(FASTER_RCNN)
    experiment.task.model.backbone = BackboneConfig(type=TYPE, nasnet=backbone)
    experiment.override(
        {
            "runtime": {
                "mixed_precision_dtype": dtype,
                "distribution_strategy": "mirrored" if gpus > 1 else "one_device",
                "num_gpus": gpus,
            },
            "task": {
                "init_checkpoint": init_checkpoint,
                "init_checkpoint_modules": "backbone",
                "annotation_file": str(validation.annotation_file),
                "per_category_metrics": True,
                "model": {
                    "num_classes": len(train.class_names) + 1,  # 0 is the background
                    "input_size": [size, size, 3],
                    "min_level": lowest,
                    "max_level": highest,
                    "anchor": {"anchor_size": ANCHOR_SIZE, "num_scales": NUM_SCALES},
                    "decoder": {"fpn": {"num_filters": 128}},
                    "rpn_head": {"num_filters": 128},
                    "detection_head": {"num_convs": 1, "num_filters": 128, "fc_dims": 512},
                    "roi_generator": {
                        "pre_nms_top_k": 1000,
                        "num_proposals": 300,
                        "test_pre_nms_top_k": 1000,
                        "test_num_proposals": 300,
                    },
                    "roi_sampler": {"num_sampled_rois": 64},
                    "detection_generator": {"pre_nms_top_k": 1000},
                    "norm_activation": {"norm_momentum": 0.99, "norm_epsilon": 1e-3, "use_sync_bn": True},
                },
                "losses": {"l2_weight_decay": 1e-4},
                "train_data": reader
                | {
                    "input_path": str(train.pattern),
                    "global_batch_size": batch,
                    "is_training": True,
                    "parser": {"aug_rand_hflip": True, "aug_scale_min": 0.6, "aug_scale_max": 1.6},
                },
                "validation_data": reader
                | {
                    "input_path": str(validation.pattern),
                    "global_batch_size": batch,
                    "is_training": False,
                    "drop_remainder": False,
                },
            },
            "trainer": {
                "train_steps": steps,
                "steps_per_loop": loop,
                "summary_interval": loop,
                "checkpoint_interval": loop * max(1, round(steps / loop / CHECKPOINTS)),
                "max_to_keep": 2,
                "validation_steps": -1,
                "validation_interval": loop * max(1, round(steps / loop / EVALUATIONS)),
                "optimizer_config": optimization.OptimizationConfig(
                    {
                        "optimizer": {"type": "sgd", "sgd": {"momentum": 0.9, "global_clipnorm": 10.0}},
                        "learning_rate": {
                            "type": "cosine",
                            "cosine": {"initial_learning_rate": learning_rate, "decay_steps": steps},
                        },
                        "warmup": {"type": "linear", "linear": {"warmup_steps": max(1, steps // 20)}},
                    }
                ).as_dict(),
            },
        },
        is_strict=True,
    )
    return experiment
