"""A ReLU that TensorFlow's optimizer of graphs does not join with the sum in front of it."""

from typing import Any

import keras

from keras_nasnet.accelerate.quick_layer import QuickLayer
from keras_nasnet.accelerate.tracing import tensorflow


@keras.saving.register_keras_serializable("keras_nasnet")
class SeparateReLU(QuickLayer, keras.layers.ReLU):
    """`keras.layers.ReLU`: same arguments and results.

    TensorFlow's remapper (2.20) makes one operation of a convolution, its bias, a sum and a ReLU also where others read
    the sum, as pools do in a NASNet. Then it finds the sum gone, prints an error, and joins nothing at all. Between sum
    and ReLU stands an operation that costs nothing, and that it does not look through.
    """

    def call(self, inputs: Any) -> Any:
        if keras.backend.backend() == "tensorflow":
            inputs = tensorflow().ensure_shape(inputs, inputs.shape)
        return super().call(inputs)
