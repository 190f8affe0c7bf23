"""Batch normalization with TensorFlow's fused kernel where TensorFlow runs."""

import sys
from typing import Any

import keras
from keras import ops

_FUSED_DTYPES = ("float32", "float16", "bfloat16")


@keras.saving.register_keras_serializable("keras_nasnet")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`: same arguments, variables, names and results.

    On the TensorFlow backend Keras composes the layer of a dozen operations; here it is
    one fused kernel forward and one backward. What the kernel cannot do (masks,
    other ranks, axes or dtypes) goes the Keras way, as does everything on the other backends.
    Under a `tf.distribute` strategy the moments are those of all replicas' examples, as
    they are on JAX: else each replica would train, and remember, statistics of its own.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        data_format = self._fused_data_format(inputs)
        shared = bool(training) and self.trainable and _replicas() > 1
        if mask is not None or data_format is None or shared:
            return super().call(inputs, training=training, mask=mask)
        # Keras has loaded TensorFlow already: the core never imports it itself.
        tensorflow = sys.modules["tensorflow"]
        use_batch = bool(training) and self.trainable
        inputs = ops.cast(inputs, self.compute_dtype)
        scale = ops.cast(self.gamma, "float32") if self.scale else ops.ones_like(self.moving_mean)
        offset = ops.cast(self.beta, "float32") if self.center else ops.zeros_like(self.moving_mean)
        result = tensorflow.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=scale,
            offset=offset,
            mean=[] if use_batch else ops.convert_to_tensor(self.moving_mean),
            variance=[] if use_batch else ops.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            data_format=data_format,
            is_training=use_batch,
        )
        if use_batch:
            # The kernel returns the unbiased variance; Keras keeps the biased one.
            count = ops.cast(ops.size(inputs) // inputs.shape[self.axis], "float32")
            variance = result.batch_variance * ((count - 1.0) / count)
            self._move(self.moving_mean, result.batch_mean)
            self._move(self.moving_variance, variance)
        return result.y

    def _moments(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        if mask is None and _replicas() > 1:
            return ops.moments(inputs, axes=self._reduction_axes, synchronized=True)
        return super()._moments(inputs, mask)

    def _fused_data_format(self, inputs: Any) -> str | None:
        if keras.backend.backend() != "tensorflow" or self.synchronized or self.renorm or len(inputs.shape) != 4:
            return None
        if self.compute_dtype not in _FUSED_DTYPES or self.variable_dtype != "float32":
            return None
        return {3: "NHWC", 1: "NCHW"}.get(self.axis % 4)

    def _move(self, variable: Any, value: Any) -> None:
        variable.assign(variable * self.momentum + value * (1.0 - self.momentum))


def _replicas() -> int:
    """How many replicas run this call in step, 1 where there is no strategy."""
    if keras.backend.backend() != "tensorflow":
        return 1
    context = sys.modules["tensorflow"].distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync
