"""What stock Keras offers, with which ours is compared: NASNet-A of `keras.layers`, and its training step."""

from collections.abc import Callable
from typing import Any

import numpy as np

LEARNING_RATE = 0.01
MOMENTUM = 0.9

Step = Callable[[], None]


def stock_step(network: Any, images: np.ndarray, labels: np.ndarray) -> Step:
    import keras

    network.compile(
        optimizer=keras.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM), loss="sparse_categorical_crossentropy"
    )

    def run() -> None:
        float(network.train_on_batch(images, labels))

    return run


def stock_twin(num_blocks: int, filters: int, classes: int) -> Any:
    """NASNet-A with the CIFAR stem, as anybody would write it with `keras.layers`.

    A layer's name is the path of ours with dots, so that weights can be copied by name.
    """
    import keras
    from keras import layers

    from keras_nasnet.genotype import NASNET_A
    from keras_nasnet.models.assembly import plan_cells

    def batch_norm(tensor: Any, name: str) -> Any:
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(tensor)

    def project(tensor: Any, filters: int, name: str, rectify: bool = True) -> Any:
        tensor = layers.ReLU()(tensor) if rectify else tensor
        tensor = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}.convolution")(tensor)
        return batch_norm(tensor, f"{name}.batch_norm")

    def reduce(tensor: Any, filters: int, name: str) -> Any:
        tensor = layers.ReLU()(tensor)
        shifted = layers.Cropping2D(((1, 0), (1, 0)))(layers.ZeroPadding2D(((0, 1), (0, 1)))(tensor))
        paths = [
            layers.Conv2D(filters // 2, 1, use_bias=False, name=f"{name}.path_{number}")(
                layers.AveragePooling2D(1, strides=2)(path)
            )
            for number, path in ((1, tensor), (2, shifted))
        ]
        return batch_norm(layers.Concatenate()(paths), f"{name}.batch_norm")

    def operate(tensor: Any, operation: str, filters: int, stride: int, name: str) -> Any:
        if operation == "identity":
            return tensor
        if "pool" in operation:
            pool = layers.MaxPooling2D if operation.startswith("max") else layers.AveragePooling2D
            tensor = pool(3, strides=stride, padding="same")(tensor)
            if tensor.shape[-1] == filters:
                return tensor
            return project(tensor, filters, f"{name}.projection", rectify=False)
        for number in (1, 2):
            tensor = layers.ReLU()(tensor)
            tensor = layers.SeparableConv2D(
                filters,
                int(operation[-1]),
                strides=stride if number == 1 else 1,
                padding="same",
                use_bias=False,
                name=f"{name}.convolution_{number}",
            )(tensor)
            tensor = batch_norm(tensor, f"{name}.batch_norm_{number}")
        return tensor

    inputs = keras.Input((32, 32, 3))
    tensor = layers.Conv2D(3 * filters, 3, padding="same", use_bias=False, name="stem_convolution")(inputs)
    newest, previous = batch_norm(tensor, "stem_batch_norm"), None
    for plan in plan_cells((num_blocks,) * 3, filters, "cifar", skip_reduction=False):
        spec, stride = (NASNET_A.reduction, 2) if plan.reduction else (NASNET_A.normal, 1)
        states = [project(newest, plan.filters, f"{plan.name}.fit_0"), newest if previous is None else previous]
        if states[1].shape[1] != newest.shape[1]:
            states[1] = reduce(states[1], plan.filters, f"{plan.name}.fit_1")
        elif previous is not None and states[1].shape[-1] != plan.filters:
            states[1] = project(states[1], plan.filters, f"{plan.name}.fit_1")
        for number, block in enumerate(spec.blocks):
            pair = []
            for side, index, operation in zip(("left", "right"), block.inputs, block.operations, strict=True):
                name = f"{plan.name}.block_{number}_{side}"
                if operation == "identity" and states[index].shape[-1] != plan.filters:
                    pair.append(project(states[index], plan.filters, f"{name}.projection"))
                else:
                    pair.append(operate(states[index], operation, plan.filters, stride if index < 2 else 1, name))
            states.append(layers.Add()(pair))
        members = [
            project(states[index], plan.filters, f"{plan.name}.output_fit_{index}", rectify=False)
            if states[index].shape[-1] != plan.filters
            else states[index]
            for index in spec.outputs[0]
        ]
        newest, previous = layers.Concatenate()(members), newest
    tensor = layers.GlobalAveragePooling2D()(layers.ReLU()(newest))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax", name="predictions")(tensor))
