"""NASNetBackbone: stem and cells as a feature pyramid, or as two halves."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_nasnet.genotype import Genotype
from keras_nasnet.layers.convolution import channel_axis
from keras_nasnet.layers.inner_layers import InnerLayers
from keras_nasnet.models.assembly import State, run_cells
from keras_nasnet.models.body import Body
from keras_nasnet.models.freezing import Freezing


@keras.saving.register_keras_serializable("keras_nasnet")
class NASNetBackbone(InnerLayers, Freezing, keras.Model):
    """A NASNet without its classifier.

    Args: those of `NASNet` with the same names, and `trainable`. `input_shape` defaults to any size.

    Input: float images (batch, height, width, 3), at least 32x32. Output: the rectified
    last features.

    Attributes:
        pyramid_outputs: symbolic tensors by level, as KerasHub names them: "P3" is the last
            tensor at 1/2**3 of the image's resolution. Each is a cell's (or the stem's)
            output before any ReLU, but the deepest, which is the model's output.
        strides: pixels of the image for one pixel of each level, for example {"P3": 8}.
        channels: channels of each level.

    Example:
        >>> backbone = NASNetBackbone("nasnet_a", num_blocks=1, penultimate_filters=192)
        >>> backbone.strides
        {'P1': 2, 'P2': 4, 'P3': 8, 'P4': 16, 'P5': 32}
        >>> pyramid = keras.Model(backbone.inputs, backbone.pyramid_outputs)
        >>> keras.ops.shape(pyramid(np.zeros((1, 64, 64, 3)))["P3"])
        (1, 8, 8, 48)
    """

    def __init__(
        self,
        genotype: str | Genotype | dict[str, Any] = "nasnet_a",
        num_blocks: int | Sequence[int] = 4,
        penultimate_filters: int = 1056,
        stem: str = "imagenet",
        stem_filters: int | None = None,
        skip_reduction: bool = False,
        pool_padding: str = "same",
        drop_path_rate: float = 0.0,
        batch_norm_momentum: float | None = None,
        batch_norm_epsilon: float | None = None,
        input_shape: Sequence[int | None] | None = None,
        data_format: str | None = None,
        dtype: Any = None,
        name: str = "nasnet_backbone",
        **kwargs: Any,
    ):
        body = Body(
            genotype,
            num_blocks,
            penultimate_filters,
            stem=stem,
            stem_filters=stem_filters,
            skip_reduction=skip_reduction,
            pool_padding=pool_padding,
            drop_path_rate=drop_path_rate,
            batch_norm_momentum=batch_norm_momentum,
            batch_norm_epsilon=batch_norm_epsilon,
            data_format=data_format,
            dtype=dtype,
        )
        # === Functional Model ===
        image_shape = body.input_shape(input_shape, default=None)
        inputs = keras.Input(image_shape, name="image")
        features = body.apply(inputs)
        outputs = body.rectify(list(features.outputs.values())[-1], name="features")
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)

        # === Config ===
        self._config = body.get_config() | {"input_shape": list(image_shape)}
        self._policy = body.dtype
        self._plans = tuple(body.plans)
        self.cell_names = tuple(plan.name for plan in body.plans)
        self._states = features.states
        last = {state.strides[0]: name for name, state in features.states.items()}  # by stride, later ones win
        self.strides = {f"P{stride.bit_length() - 1}": stride for stride in last}
        deepest = max(last)
        self.pyramid_outputs = {
            level: outputs if stride == deepest else body.join(features.outputs[last[stride]])
            for level, stride in self.strides.items()
        }
        self.channels = {level: tensor.shape[body.channel_axis] for level, tensor in self.pyramid_outputs.items()}

    def get_config(self) -> dict[str, Any]:
        dtype = keras.saving.serialize_keras_object(self._policy)  # a map of policies may have changed
        return self._config | {"dtype": dtype, "name": self.name, "trainable": self.trainable} | self.inner_config()

    def split_at(self, cell: int | str) -> tuple[keras.Model, keras.Model]:
        """Cut the network behind a cell, as the paper's two-stage detector does.

        Args:
            cell: number of a normal cell from 0 up, or the name of any ("stem_1",
                "reduction_0", "cell_11"). Not the last one.

        Returns:
            Two models that share this one's variables. The first maps images to the list of
            hidden states that the next cell reads (h_i, h_{i-1}, ...), the second maps that
            list, at any resolution, to this model's output.

        Raises:
            ValueError: if there is no such cell, or nothing behind it.
        """
        name = f"cell_{cell}" if isinstance(cell, int) else cell
        names = [plan.name for plan in self._plans]
        if name not in names[:-1]:
            raise ValueError(f"cell is {cell!r}: choose from {', '.join(names[:-1])}")
        rest = self._plans[names.index(name) + 1 :]
        state = self._states[name]
        first = keras.Model(self.inputs, list(state.tensors), name=f"{self.name}_first")
        axis = channel_axis(self._config["data_format"])
        inputs = [
            keras.Input(
                (None, None, tensor.shape[axis]) if axis == -1 else (tensor.shape[axis], None, None),
                dtype=tensor.dtype,
                name=f"hidden_state_{number}",
            )
            for number, tensor in enumerate(state.tensors)
        ]
        cells = [self.get_layer(plan.name) for plan in rest]
        features = run_cells(rest, cells, State(tuple(inputs), state.strides))
        outputs = list(features.outputs.values())[-1]
        if len(outputs) > 1:
            outputs = (self.get_layer("features_join")(list(outputs)),)
        return first, keras.Model(inputs, self.get_layer("features")(outputs[0]), name=f"{self.name}_second")
