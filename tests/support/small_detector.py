"""A detector small enough for tests: cells of one block, 64 filters, 64 pixels."""

from typing import Any

import tensorflow as tf
import tf_keras
from official.core import exp_factory, task_factory

from keras_nasnet.detection.garden import experiments
from keras_nasnet.detection.garden.backbone import NASNetBackboneConfig, NASNetFeatures
from tests.support.toy import GENOTYPE

# As YAML has it: the genotype is its JSON.
NETWORK = {
    "genotype": GENOTYPE.to_json(indent=None),
    "num_blocks": 1,
    "penultimate_filters": 64,
    "stem_filters": 8,
    "skip_reduction": False,
}
SIZE = 64


def features(size: int | None = SIZE, l2: float = 0.0, policy: str | None = None, **config: Any) -> NASNetFeatures:
    """Return a backbone as the Garden builds it."""
    regularizer = tf_keras.regularizers.l2(l2) if l2 else None
    spec = tf_keras.layers.InputSpec(shape=[None, size, size, 3])
    return NASNetFeatures(spec, NASNetBackboneConfig(**NETWORK | config), regularizer, policy)


def experiment(name: str = experiments.FASTER_RCNN, **task: Any) -> Any:
    """Return a registered experiment, made small."""
    config = exp_factory.get_exp_config(name)
    config.override(
        {
            "runtime": {"mixed_precision_dtype": "float32"},
            "task": {
                "model": {
                    "num_classes": 3,
                    "input_size": [SIZE, SIZE, 3],
                    "min_level": 3,
                    "max_level": 5,
                    "backbone": {"nasnet": NETWORK},
                    "decoder": {"fpn": {"num_filters": 16}},
                },
                "losses": {"l2_weight_decay": 1e-4},
            },
        },
        is_strict=True,
    )
    if name == experiments.FASTER_RCNN:
        config.override(
            {
                "task": {
                    "model": {
                        "rpn_head": {"num_filters": 16},
                        "detection_head": {"num_convs": 1, "num_filters": 16, "fc_dims": 32},
                        "roi_generator": {"num_proposals": 16, "test_num_proposals": 16},
                        "roi_sampler": {"num_sampled_rois": 8},
                    }
                }
            },
            is_strict=True,
        )
    config.override({"task": task}, is_strict=True)
    return config


def task_and_model(config: Any) -> tuple[Any, Any]:
    """Return the Garden's task of an experiment, and its model."""
    task = task_factory.get_task(config.task)
    return task, task.build_model()


def batch(config: Any, images: int = 2) -> tuple[Any, dict[str, Any]]:
    """Return what the Garden's input pipeline makes of images with one box each."""
    from official.vision.ops import anchor

    model = config.task.model
    anchors = anchor.build_anchor_generator(
        model.min_level,
        model.max_level,
        model.anchor.num_scales,
        list(model.anchor.aspect_ratios),
        model.anchor.anchor_size,
    )((SIZE, SIZE))
    boxes = tf.constant([[8.0, 8.0, 40.0, 48.0]])
    labeler = anchor.RpnAnchorLabeler()
    scores, targets = labeler.label_anchors(anchors, boxes, tf.ones([1, 1]))

    def repeat(value: Any) -> Any:
        return tf.repeat(value[None], images, axis=0)

    labels = {
        "anchor_boxes": tf.nest.map_structure(repeat, dict(anchors)),
        "image_info": repeat(tf.constant([[SIZE, SIZE], [SIZE, SIZE], [1.0, 1.0], [0.0, 0.0]], tf.float32)),
        "rpn_score_targets": tf.nest.map_structure(repeat, dict(scores)),
        "rpn_box_targets": tf.nest.map_structure(repeat, dict(targets)),
        "gt_boxes": repeat(tf.concat([boxes, -tf.ones([3, 4])], axis=0)),
        "gt_classes": repeat(tf.constant([1, -1, -1, -1])),
    }
    return tf.random.stateless_normal([images, SIZE, SIZE, 3], seed=(0, 1)), labels
