"""The paper's two-stage detector as halves of one NASNet: proposals from the first, boxes from the second."""

from typing import Any

import keras
from keras import ops

from keras_nasnet.models.arguments import stage_sizes
from keras_nasnet.models.backbone import NASNetBackbone

CROP_SIZE = 17  # pixels of the proposal map that the second stage sees of each proposal
_ROUNDING = 1e-6  # part of the map's side by which float32 alone may put a sample outside


def two_stages(backbone: NASNetBackbone) -> tuple[keras.Model, keras.Model]:
    """Cut a backbone in front of its second reduction cell, as Faster R-CNN on NASNet does.

    The first model maps images (batch, height, width, 3), scaled to [-1, 1], to the proposal
    map, (batch, height / 16, width / 16, channels): the outputs of the last two cells that the
    second half reads, h_{i-1} in front and h_i behind it, before any ReLU. For Large these are
    cells 10 and 11, 2 x 2016 channels; for Mobile cells 6 and 7, 2 x 528. On it stand the
    region proposal network and `crop_proposals`.

    The second maps crops of that map, (proposals, 17, 17, channels), to the rectified features
    in front of the box predictor, (proposals, 9, 9, P): the second reduction cell and the cells
    behind it. Crops of every other size go too; the whole map gives the backbone's own output.

    Source: `faster_rcnn_nas_feature_extractor.py` of the TF Object Detection API, which has
    Large; Mobile, for which the paper has results too, is cut the same way. As there: the scaling
    of pixels, the stem and its two cells, the pools (`pool_padding="same"`), no auxiliary head,
    and DropPath rates that count all cells of the network in both halves. A cut leaves to the
    training: its DropPath grows over 250,000 steps (`keras_nasnet.layers.drop_path`), and its BN is
    frozen, or so it says: in the first half the code lets it learn.
    `keras_nasnet.training.network.train_all(backbone, freeze_batch_norm=True)` freezes all.

    Args:
        backbone: of any genotype whose cells read two hidden states, in channels_last. With the
            cifar stem the map is at 1/2 of the images' resolution, not at 1/16.

    Returns:
        The two models. They share the backbone's variables, each one or the other.

    Raises:
        ValueError: if the backbone is channels_first, or its cells read another number of states.

    Example:
        >>> from keras_nasnet import NASNetBackbone
        >>> backbone = NASNetBackbone("nasnet_c", num_blocks=1, penultimate_filters=160, stem_filters=8)
        >>> proposals, boxes = two_stages(backbone)
        >>> features = proposals(np.zeros((1, 64, 64, 3)))
        >>> tuple(features.shape)
        (1, 4, 4, 160)
        >>> tuple(boxes(np.zeros((5, 17, 17, 160))).shape)
        (5, 9, 9, 160)
    """
    config = backbone.get_config()
    if config["data_format"] != "channels_last":
        raise ValueError(f"{backbone.name} is {config['data_format']}: the two stages need channels_last")
    first, second = backbone.split_at(sum(stage_sizes(config["num_blocks"])[:2]) - 1)
    if len(first.outputs) != 2:
        raise ValueError(
            f"the cells of {backbone.name} read {len(first.outputs)} hidden states: the two stages need a genotype "
            "with two, such as NASNet-A or C"
        )
    newest, previous = first.outputs
    joined = keras.layers.Concatenate(dtype=newest.dtype, name="proposal_map")([previous, newest])
    proposals = keras.Model(backbone.inputs, joined, name=f"{backbone.name}_proposals")
    crops = keras.Input((None, None, joined.shape[-1]), dtype=joined.dtype, name="crops")
    depth = previous.shape[-1]
    boxes = keras.Model(crops, second([crops[..., depth:], crops[..., :depth]]), name=f"{backbone.name}_boxes")
    return proposals, boxes


def crop_proposals(features: Any, boxes: Any, size: int = CROP_SIZE) -> Any:
    """Cut each box out of a map, resized bilinearly to one size.

    The corners of a box become the corner samples of its crop, and samples outside the map are
    zero, as in `tf.image.crop_and_resize`. That function leaves a box that ends at the map's
    edge to rounding, which sometimes makes its last row zero; here such a row is the edge's.

    Args:
        features: floats (batch, height, width, channels).
        boxes: floats (batch, proposals, 4): ymin, xmin, ymax, xmax, as parts of the map's height
            and width: 0 is the middle of its first pixel and 1 the middle of its last.
        size: height and width of the crops in pixels.

    Returns:
        (batch * proposals, size, size, channels) in the dtype of `features`: the proposals of
        the first image, then those of the next. Gradients reach both arguments.

    Raises:
        ValueError: if a shape or the size is wrong.

    Example:
        >>> features = np.zeros((1, 38, 38, 8), "float32")
        >>> boxes = np.array([[[0.1, 0.2, 0.5, 0.6], [0.0, 0.0, 1.0, 1.0]]])  # ymin, xmin, ymax, xmax
        >>> tuple(crop_proposals(features, boxes).shape)
        (2, 17, 17, 8)
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"size is {size!r}: it must be a number of pixels from 1 up")
    features, boxes = ops.convert_to_tensor(features), ops.convert_to_tensor(boxes)
    if len(features.shape) != 4:
        raise ValueError(
            f"features have the shape {tuple(features.shape)}: it must be (batch, height, width, channels)"
        )
    if len(boxes.shape) != 3 or boxes.shape[-1] != 4:
        raise ValueError(f"boxes have the shape {tuple(boxes.shape)}: it must be (batch, proposals, 4)")
    batch, height, width, channels = ops.shape(features)
    if isinstance(batch, int) and boxes.shape[0] not in (None, batch):
        raise ValueError(f"there are boxes for {boxes.shape[0]} images, but features of {batch}")
    edges = ops.cast(ops.reshape(boxes, (-1, 4)), "float32")
    rows = _Samples(edges[:, 0], edges[:, 2], height, size)
    columns = _Samples(edges[:, 1], edges[:, 3], width, size)
    image = ops.repeat(ops.arange(batch, dtype="int32"), ops.shape(boxes)[1])[:, None, None]
    pixels = ops.reshape(features, (-1, channels))

    def look_up(row: Any, column: Any) -> Any:
        return ops.take(pixels, (image * height + row[:, :, None]) * width + column[:, None, :], axis=0)

    down = ops.cast(rows.fraction, features.dtype)[:, :, None, None]
    right = ops.cast(columns.fraction, features.dtype)[:, None, :, None]
    above, below = (
        left + (look_up(row, columns.high) - left) * right
        for row, left in ((row, look_up(row, columns.low)) for row in (rows.low, rows.high))
    )
    inside = ops.logical_and(rows.inside[:, :, None], columns.inside[:, None, :])[..., None]
    return ops.where(inside, above + (below - above) * down, ops.zeros((), features.dtype))


class _Samples:
    """Where boxes are sampled along one side of the map; all of shape (boxes, size).

    Args:
        start: edges of the boxes, (boxes,).
        end: likewise.
        length: of the side in pixels.
        size: samples of each box.
    """

    def __init__(self, start: Any, end: Any, length: Any, size: int):
        last = ops.cast(length - 1, "float32")
        if size == 1:
            at = (0.5 * (start + end) * last)[:, None]
        else:  # in this order, to round as TensorFlow does
            step = (end - start) * last / (size - 1)
            at = (start * last)[:, None] + ops.arange(size, dtype="float32") * step[:, None]
        slack = _ROUNDING * last
        self.inside = ops.logical_and(at >= -slack, at <= last + slack)
        at = ops.clip(at, 0.0, last)
        low = ops.floor(at)
        self.fraction = at - low
        self.low = ops.cast(low, "int32")
        self.high = ops.cast(ops.ceil(at), "int32")
