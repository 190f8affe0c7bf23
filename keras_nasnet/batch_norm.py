"""Batch normalization with TensorFlow's fused kernel where TensorFlow runs."""

import math
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
        use_batch = bool(training) and self.trainable
        shared = use_batch and _replicas() > 1
        # The kernel that `_shared_batch_norm` needs for its gradient has no NCHW.
        if mask is not None or data_format is None or (shared and data_format == "NCHW"):
            return super().call(inputs, training=training, mask=mask)
        inputs = ops.cast(inputs, self.compute_dtype)
        scale = ops.cast(self.gamma, "float32") if self.scale else ops.ones_like(self.moving_mean)
        offset = ops.cast(self.beta, "float32") if self.center else ops.zeros_like(self.moving_mean)
        options = {"epsilon": self.epsilon, "data_format": data_format}
        if not use_batch:
            mean, variance = ops.convert_to_tensor(self.moving_mean), ops.convert_to_tensor(self.moving_variance)
            return _fused(inputs, scale, offset, mean, variance, is_training=False, **options).y
        if shared:
            outputs, mean, variance = _shared_batch_norm(inputs, scale, offset, self.epsilon)
        else:
            result = _fused(inputs, scale, offset, [], [], is_training=True, **options)
            outputs, mean, variance = result.y, result.batch_mean, _biased(result.batch_variance, inputs, self.axis)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        return outputs

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
        # On tensors: arithmetic on a keras.Variable takes as long to trace as the kernel itself.
        variable.assign(ops.convert_to_tensor(variable) * self.momentum + value * (1.0 - self.momentum))


def _fused(inputs: Any, scale: Any, offset: Any, mean: Any, variance: Any, **options: Any) -> Any:
    return _tensorflow().raw_ops.FusedBatchNormV3(
        x=inputs, scale=scale, offset=offset, mean=mean, variance=variance, **options
    )


def _biased(variance: Any, inputs: Any, axis: int) -> Any:
    """The kernel returns the unbiased variance; Keras keeps the biased one."""
    if None not in inputs.shape:  # a number costs a trace less than eight operations
        count = math.prod(inputs.shape) // inputs.shape[axis]
        return variance * ((count - 1.0) / count)
    count = ops.cast(ops.size(inputs) // inputs.shape[axis], "float32")
    return variance * ((count - 1.0) / count)


def _shared_batch_norm(inputs: Any, scale: Any, offset: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Normalizes NHWC inputs with the moments of the equally large inputs of all replicas.

    The gradient is written out: all_reduce's own would keep float32 copies of the inputs,
    and take more kernels. One all_reduce forward, one backward.

    Returns:
        The outputs, and the mean and the biased variance of all replicas' inputs.
    """
    tensorflow = _tensorflow()
    context = tensorflow.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    options = {"epsilon": epsilon, "data_format": "NHWC"}

    @tensorflow.custom_gradient
    def normalize(inputs: Any, scale: Any, offset: Any) -> Any:
        own = _fused(inputs, scale, offset, [], [], is_training=True, **options)
        # Each replica fills its own row. A sum of squares would be one row less, but of too few digits.
        moments = tensorflow.stack([own.batch_mean, _biased(own.batch_variance, inputs, 3)])
        row = tensorflow.one_hot(context.replica_id_in_sync_group, replicas)
        rows = context.all_reduce("SUM", tensorflow.tensordot(row, moments, axes=0))
        mean = tensorflow.reduce_mean(rows[:, 0], axis=0)
        variance = tensorflow.reduce_mean(rows[:, 1] + tensorflow.square(rows[:, 0] - mean), axis=0)
        outputs = _fused(inputs, scale, offset, mean, variance, is_training=False, **options).y

        def gradient(upstream: Any, *_: Any) -> tuple[Any, Any, Any]:
            result = tensorflow.raw_ops.FusedBatchNormGradV3(
                y_backprop=upstream,
                x=inputs,
                scale=scale,
                reserve_space_1=mean,
                reserve_space_2=variance,
                reserve_space_3=tensorflow.zeros([0]),
                is_training=False,
                **options,
            )
            of_scale, of_offset = result.scale_backprop, result.offset_backprop
            # That took mean and variance for constants. They are not: they depend on all inputs.
            count = tensorflow.cast(tensorflow.size(inputs) // inputs.shape[3] * replicas, "float32")
            total = context.all_reduce("SUM", tensorflow.stack([of_scale, of_offset])) / count
            inverse = tensorflow.math.rsqrt(variance + epsilon)
            slope = -scale * inverse * inverse * total[0]
            constant = -scale * inverse * total[1] - slope * mean
            centred = tensorflow.cast(inputs, "float32") * slope + constant
            return result.x_backprop + tensorflow.cast(centred, inputs.dtype), of_scale, of_offset

        return (outputs, mean, variance), gradient

    return normalize(inputs, scale, offset)


def _tensorflow() -> Any:
    """Keras has loaded TensorFlow already: the core never imports it itself."""
    return sys.modules["tensorflow"]


def _replicas() -> int:
    """How many replicas run this call in step, 1 where there is no strategy."""
    if keras.backend.backend() != "tensorflow":
        return 1
    context = _tensorflow().distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync
