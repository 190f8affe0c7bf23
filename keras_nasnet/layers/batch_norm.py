"""Batch normalization with TensorFlow's fused kernel where TensorFlow runs."""

import math
from typing import Any

import keras
from keras import ops

from keras_nasnet.accelerate.quick_layer import QuickLayer
from keras_nasnet.accelerate.replicas import ReplicaMoments, replicas
from keras_nasnet.accelerate.tracing import constant, tensorflow, with_gradient

_FUSED_DTYPES = ("float32", "float16", "bfloat16")


@keras.saving.register_keras_serializable("keras_nasnet")
class BatchNormalization(QuickLayer, ReplicaMoments, keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`: same arguments, variables, names and results.

    On the TensorFlow backend Keras composes the layer of a dozen operations; here it is
    one fused kernel forward and one backward. What the kernel cannot do (masks,
    other ranks, axes or dtypes) goes the Keras way, as does everything on the other backends.
    Under a `tf.distribute` strategy the moments are those of all replicas' examples, as
    they are on JAX: else each replica would train, and remember, statistics of its own.

    Example:
        >>> layer = BatchNormalization(epsilon=0.0)
        >>> keras.ops.convert_to_numpy(layer(np.array([0.0, 4.0]).reshape(2, 1, 1, 1), training=True)).ravel()
        array([-1.,  1.], dtype=float32)
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        data_format = self._fused_data_format(inputs)
        use_batch = bool(training) and self.trainable
        shared = use_batch and replicas() > 1
        # The kernel that `_shared_batch_norm` needs for its gradient has no NCHW.
        if mask is not None or data_format is None or (shared and data_format == "NCHW"):
            return super().call(inputs, training=training, mask=mask)
        inputs = ops.cast(inputs, self.compute_dtype)
        scale = ops.cast(self.gamma, "float32") if self.scale else ops.ones_like(self.moving_mean)
        offset = ops.cast(self.beta, "float32") if self.center else ops.zeros_like(self.moving_mean)
        mean, variance = ops.convert_to_tensor(self.moving_mean), ops.convert_to_tensor(self.moving_variance)
        options = {"epsilon": self.epsilon, "data_format": data_format}
        if not use_batch:
            return _fused(inputs, scale, offset, mean, variance, is_training=False, **options).y
        if shared:
            outputs, batch_mean, batch_variance = _shared_batch_norm(inputs, scale, offset, self.epsilon)
            mean = mean * self.momentum + batch_mean * (1.0 - self.momentum)
            variance = variance * self.momentum + batch_variance * (1.0 - self.momentum)
        else:
            outputs, mean, variance = self._own_batch_norm(inputs, scale, offset, mean, variance, options)
        self.moving_mean.assign(mean)
        self.moving_variance.assign(variance)
        return outputs

    def _own_batch_norm(
        self, inputs: Any, scale: Any, offset: Any, mean: Any, variance: Any, options: dict[str, Any]
    ) -> tuple[Any, Any, Any]:
        """Normalize with the moments of the inputs; returns the outputs, and the moving statistics as they go on."""
        # The kernel moves the statistics too, towards the unbiased variance; Keras keeps the biased one.
        bias = _bias(inputs, self.axis)
        factor = 1.0 - self.momentum
        result = _fused(
            inputs, scale, offset, mean, variance / bias, is_training=True, exponential_avg_factor=factor, **options
        )

        def gradient(upstream: Any) -> tuple[Any, Any, Any]:
            return tensorflow().raw_ops.FusedBatchNormGradV3(
                y_backprop=upstream,
                x=inputs,
                scale=scale,
                reserve_space_1=result.reserve_space_1,
                reserve_space_2=result.reserve_space_2,
                reserve_space_3=result.reserve_space_3,
                is_training=True,
                **options,
            )[:3]

        outputs = with_gradient(result.y, gradient, inputs, scale, offset)
        return outputs, result.batch_mean, result.batch_variance * bias

    def _fused_data_format(self, inputs: Any) -> str | None:
        if keras.backend.backend() != "tensorflow" or self.synchronized or self.renorm or len(inputs.shape) != 4:
            return None
        if self.compute_dtype not in _FUSED_DTYPES or self.variable_dtype != "float32":
            return None
        return {3: "NHWC", 1: "NCHW"}.get(self.axis % 4)


def _fused(inputs: Any, scale: Any, offset: Any, mean: Any, variance: Any, **options: Any) -> Any:
    return tensorflow().raw_ops.FusedBatchNormV3(
        x=inputs, scale=scale, offset=offset, mean=mean, variance=variance, **options
    )


def _bias(inputs: Any, axis: int) -> Any:
    """Return (n - 1) / n for n values a channel: the factor from the kernel's unbiased variance to Keras' biased one.

    A single value counts as two: its unbiased variance is 0.
    """
    if None in inputs.shape:
        count = ops.cast(ops.size(inputs) // inputs.shape[axis], "float32")
        return (ops.maximum(count, 2.0) - 1.0) / ops.maximum(count, 2.0)
    # A number costs a trace less than eight operations.
    count = max(2, math.prod(inputs.shape) // inputs.shape[axis])
    return constant((count - 1.0) / count, "float32")


def _shared_batch_norm(inputs: Any, scale: Any, offset: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Normalize NHWC inputs with the moments of the equally large inputs of all replicas.

    The gradient is written out: all_reduce's own would keep float32 copies of the inputs,
    and take more kernels. One all_reduce forward, one backward.

    Returns:
        The outputs, and the mean and the biased variance of all replicas' inputs.
    """
    tf = tensorflow()
    context = tf.distribute.get_replica_context()
    count = context.num_replicas_in_sync
    options = {"epsilon": epsilon, "data_format": "NHWC"}

    @tf.custom_gradient
    def normalize(inputs: Any, scale: Any, offset: Any) -> Any:
        own = _fused(inputs, scale, offset, [], [], is_training=True, **options)
        # Each replica fills its own row. A sum of squares would be one row less, but of too few digits.
        moments = tf.stack([own.batch_mean, own.batch_variance * _bias(inputs, 3)])
        row = tf.one_hot(context.replica_id_in_sync_group, count)
        rows = context.all_reduce("SUM", tf.tensordot(row, moments, axes=0))
        mean = tf.reduce_mean(rows[:, 0], axis=0)
        variance = tf.reduce_mean(rows[:, 1] + tf.square(rows[:, 0] - mean), axis=0)
        outputs = _fused(inputs, scale, offset, mean, variance, is_training=False, **options).y

        def gradient(upstream: Any, *_: Any) -> tuple[Any, Any, Any]:
            result = tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=upstream,
                x=inputs,
                scale=scale,
                reserve_space_1=mean,
                reserve_space_2=variance,
                reserve_space_3=tf.zeros([0]),
                is_training=False,
                **options,
            )
            of_scale, of_offset = result.scale_backprop, result.offset_backprop
            # That took mean and variance for constants. They are not: they depend on all inputs.
            values = tf.cast(tf.size(inputs) // inputs.shape[3] * count, "float32")
            total = context.all_reduce("SUM", tf.stack([of_scale, of_offset])) / values
            inverse = tf.math.rsqrt(variance + epsilon)
            slope = -scale * inverse * inverse * total[0]
            offset_slope = -scale * inverse * total[1] - slope * mean
            centred = tf.cast(inputs, "float32") * slope + offset_slope
            return result.x_backprop + tf.cast(centred, inputs.dtype), of_scale, of_offset

        return (outputs, mean, variance), gradient

    return normalize(inputs, scale, offset)
