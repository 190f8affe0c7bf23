"""Keras models around a NASNet, understood as a NASNet alone. Imports Keras only to build.

People put layers around a backbone: augmentation and scaling in front, pooling and a classifier behind. A chain of such
layers is the same function as a `NASNet` with other preprocessing and another classifier, and becomes one, so that
everything that takes a NASNet takes it.

A file may name any code. Of its configuration nothing reaches Keras but checked numbers and names: the layers are made
here, anew, and no others than those below.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_nasnet.common import limits
from keras_nasnet.common.escape import shown
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.genotype import CellSpec, Genotype
from keras_nasnet.models import arguments

if TYPE_CHECKING:
    import keras

    from keras_nasnet.models.classifier import NASNet

OWN = "keras_nasnet>"
NETWORKS = ("NASNet", "NASNetBackbone")
UNDERSTOOD = (
    "a NASNet or NASNetBackbone; in front of it Rescaling, Normalization, Resizing and random augmentation; behind it "
    "GlobalAveragePooling2D, Dropout, BatchNormalization and one Dense layer"
)
_CONTAINERS = ("Functional", "Sequential")
_ARITHMETIC = ("Add", "Divide", "Multiply", "Subtract", "TrueDivide")  # of a tensor with numbers: `preprocess_input`
# What does nothing to a batch that is not trained on.
_INACTIVE = (
    "ActivityRegularization",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomErasing",
    "RandomFlip",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
)
_DEPTH = 8  # models within each other
_COMPARED = 2**20  # pixels of images that a network is tried with


@dataclass(frozen=True)
class Layer:
    """A layer of a model, as plain and checked data.

    Args:
        kind: name of Keras' class, or of one of `NETWORKS`.
        name: by which the model has it.
        options: the arguments that matter; of a network all of them.
        parts: of a model, its layers in order.
        is_spread: of a network, whether its layers are those of the model itself.
    """

    kind: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    parts: tuple["Layer", ...] = ()
    is_spread: bool = False


@dataclass(frozen=True)
class Wrapped:
    """A network with what stands around it, each layer with the names of the models that it lies in."""

    model: Layer
    front: tuple[tuple[Layer, tuple[str, ...]], ...]
    network: tuple[Layer, tuple[str, ...]]
    head: tuple[tuple[Layer, tuple[str, ...]], ...]

    @property
    def image_size(self) -> tuple[int | None, int | None]:
        """Height and width of the images; None where it takes any."""
        config = self.network[0].options
        shape = list(config.get("input_shape") or (None, None, None))
        sides = shape[1:] if config.get("data_format") == "channels_first" else shape[:2]
        for layer, _ in self.front:
            if layer.kind == "Resizing":
                sides = [layer.options["height"], layer.options["width"]]
        if None in sides and (outer := self.model.options.get("shape")) is not None:
            sides = outer[1:] if config.get("data_format") == "channels_first" else outer[:2]
        return (None, None) if None in sides else (sides[0], sides[1])


# === What a model is ===


def name_of(data: Any) -> str:
    """Return the class that a saved model names; "" where it names none."""
    found = data.get("registered_name") or data.get("class_name") if isinstance(data, dict) else None
    return found if isinstance(found, str) else ""


def parse(data: Any) -> Wrapped:
    """Return what a model is, from what Keras saves of it.

    Args:
        data: content of a model's config.json, or what `keras.saving.serialize_keras_object` returns.

    Raises:
        ValueError: if it is no chain of known layers around a network.
    """
    return _understood(_layer(data, depth=0))


def _layer(data: Any, depth: int) -> Layer:
    if not (isinstance(data, dict) and isinstance(data.get("config"), dict)):
        raise ValueError(f"a layer is {shown(data)}")
    if not isinstance(data.get("class_name"), str):
        raise ValueError(f"the class of a layer is {shown(data.get('class_name'))}")
    config = data["config"]
    name, kind = config.get("name", data["class_name"]), _kind(data)
    if not isinstance(name, str) or len(name) > limits.NAME_CHARACTERS:
        raise ValueError(f"the name of a layer is {shown(name)}")
    if kind in NETWORKS and "layers" in config:
        kind = "Functional"  # built on an `input_tensor`: all layers are listed
    if kind in _CONTAINERS:
        if depth > _DEPTH or not isinstance(config.get("layers"), list):
            raise ValueError("models lie too deeply within each other" if depth > _DEPTH else f"{name} has no layers")
        if len(config["layers"]) > 2 * limits.NETWORK_CELLS:
            raise ValueError(f"{name} has {len(config['layers']):,} layers")
        return (_functional if kind == "Functional" else _sequential)(name, config, depth)
    if kind in NETWORKS:
        return Layer(kind, name, config)
    return Layer(kind, name, _options(kind, name, config))


def _kind(data: Mapping[str, Any]) -> str:
    """Return the name of a class, which is Keras' own or one of ours."""
    kind, registered, module = data["class_name"], data.get("registered_name"), str(data.get("module") or "keras")
    if isinstance(registered, str) and registered.startswith(OWN):
        return registered.removeprefix(OWN)
    known = kind in (*_CONTAINERS, *_ARITHMETIC, *_INACTIVE, *_READERS)
    if not known or registered not in (None, kind) or module.split(".")[0] != "keras":
        raise ValueError(f"holds a layer {shown(registered or kind)}; understood are: {UNDERSTOOD}")
    return str(kind)


def _sequential(name: str, config: Mapping[str, Any], depth: int) -> Layer:
    shape = config.get("build_input_shape")
    options = {} if shape is None else {"shape": _image_shape(shape)}
    parts = []
    for data in config["layers"]:
        part = _layer(data, depth + 1)
        if part.kind == "InputLayer":
            options = part.options
        else:
            parts.append(part)
    return Layer("Sequential", name, options, tuple(parts))


def _functional(name: str, config: Mapping[str, Any], depth: int) -> Layer:
    """Return a functional model that is a chain, but for the cells of a network."""
    nodes = {}
    for data in config["layers"]:
        if not isinstance(data, dict) or not isinstance(data.get("name"), str):
            raise ValueError(f"a layer is {shown(data)}")
        nodes[data["name"]] = data
    current = _only(config.get("output_layers"), name, "output")
    _only(config.get("input_layers"), name, "input")
    parts: list[Layer] = []
    for _ in range(len(nodes) + 1):
        data = nodes.get(current)
        if data is None:
            raise ValueError(f"{name} has no layer {shown(current)}")
        if _is_own(data, "ReLU") and current == "features":
            network, current = _spread(nodes)
            parts.append(network)
            continue
        if _is_own(data, "Cell"):
            raise ValueError(f"reads {shown(current)}, a cell, in the midst of the network: build on its last features")
        sources, numbers = _arguments(data)
        if data.get("class_name") in _ARITHMETIC and _kind(data) in _ARITHMETIC:
            part = Layer(_kind(data), current, {"numbers": numbers})
        else:
            part = _layer(data, depth + 1)
        if part.kind == "InputLayer":
            return Layer("Functional", name, part.options, tuple(reversed(parts)))
        if len(sources) != 1:
            raise ValueError(f"{shown(current)} reads {len(sources)} tensors: only a chain of layers is understood")
        parts.append(part)
        current = sources[0]
    raise ValueError(f"the layers of {name} go round in a circle")


def _only(places: Any, name: str, what: str) -> str:
    """Return the name of the layer of a model's only input or output."""
    while isinstance(places, list) and len(places) == 1:
        places = places[0]
    if isinstance(places, list) and len(places) == 3 and isinstance(places[0], str):
        return places[0]
    raise ValueError(f"{name} has not one {what} but several")


def _arguments(data: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
    """Return the names of the layers that a layer reads, and the numbers that it is called with."""
    nodes = data.get("inbound_nodes")
    if not isinstance(nodes, list) or len(nodes) > 1 or not all(isinstance(node, dict) for node in nodes):
        raise ValueError(f"{shown(data.get('name'))} is called more than once, or was saved by an older Keras")
    sources, numbers = [], []
    for argument in nodes[0].get("args", []) if nodes else []:
        for item in argument if isinstance(argument, list) else [argument]:
            try:
                sources.append(str(item["config"]["keras_history"][0]))
            except (TypeError, KeyError, IndexError):
                numbers.append(item)
    return sources, numbers


def _is_own(data: Any, kind: str) -> bool:
    return isinstance(data, dict) and data.get("registered_name") == OWN + kind


def _spread(nodes: Mapping[str, Any]) -> tuple[Layer, str]:
    """Return the network whose layers are listed among those of a model, and the layer in front of it."""
    cells = {name: data["config"] for name, data in nodes.items() if _is_own(data, "Cell")}
    try:
        first, reduction = cells["cell_0"], cells["reduction_0"]
        genotype = Genotype(CellSpec.from_dict(first["spec"]), CellSpec.from_dict(reduction["spec"]))
        stages = [0]
        for name in cells:
            if name.startswith("reduction_"):
                stages.append(0)
            elif name.startswith("cell_"):
                stages[-1] += 1
        filters = arguments.whole("filters", first["filters"], 1, limits.NETWORK_FILTERS)
        stem = nodes["stem_convolution"]
        options = {
            "genotype": genotype.to_dict(),
            "num_blocks": stages,
            "penultimate_filters": filters * (genotype.penultimate_ratio or 1),
            "stem": "imagenet" if "stem_0" in cells else "cifar",
            "stem_filters": stem["config"]["filters"],
            "skip_reduction": _skips(nodes, stages),
            "drop_path_rate": list(cells.values())[-1]["drop_path_rate"],
            "input_shape": None,
        }
        for name in ("pool_padding", "batch_norm_momentum", "batch_norm_epsilon", "data_format", "dtype"):
            options[name] = first[name]
        [source], _ = _arguments(stem)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"its layers are those of no whole network ({shown(error)})") from None
    return Layer("NASNet", "", options, is_spread=True), source


def _skips(nodes: Mapping[str, Any], stages: Sequence[int]) -> bool:
    """Return whether the cell behind the first reduction reads the reduction's own previous input."""
    before, _ = _arguments(nodes["reduction_0"])
    after, _ = _arguments(nodes[f"cell_{stages[0]}"])
    new = after.count("reduction_0")
    return after[new:] == before[new : len(after)] and after[new:] != before[: len(after) - new]


# === What a layer is ===


def _image_shape(shape: Any) -> tuple[int | None, ...]:
    if not isinstance(shape, list | tuple) or len(shape) != 4:
        raise ValueError(f"takes inputs of shape {shown(shape)}, not images")
    for length in shape[1:]:
        if length is not None:
            arguments.whole("a side of the input", length, 1, limits.IMAGE_SIDE)
    return tuple(shape[1:])


def _numbers(name: str, value: Any) -> list[float]:
    """Return the numbers in lists within each other: one, or one for each channel."""
    found: list[float] = []
    waiting = [value]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, list | tuple) and len(item) + len(waiting) <= 3:
            waiting = [*item, *waiting]
        elif isinstance(item, int | float) and not isinstance(item, bool) and abs(item) < 1e9:  # nor is NaN
            found.append(float(item))
        else:
            raise ValueError(f"{name} has {shown(value)} for a number")
    if len(found) not in (1, 3):
        raise ValueError(f"{name} has {shown(value)} for one number, or for three")
    return found


def _input(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"shape": _image_shape(config.get("batch_shape"))}


def _rescaling(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _numbers(name, config.get(key, default)) for key, default in (("scale", 1), ("offset", 0))}


def _normalization(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    axis = config.get("axis")
    if list(axis if isinstance(axis, list | tuple) else [axis]) not in ([-1], [3]) or config.get("invert"):
        raise ValueError(f"{name} normalizes along {shown(axis)}: only channels are understood")
    given = {key: config.get(key) for key in ("mean", "variance")}
    return {key: None if value is None else _numbers(name, value) for key, value in given.items()}


def _resizing(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    if config.get("pad_to_aspect_ratio"):
        raise ValueError(f"{name} pads images to their shape, as none of ours does: leave it out")
    sides: dict[str, Any] = {
        key: arguments.whole(key, config.get(key), 1, limits.IMAGE_SIDE) for key in ("height", "width")
    }
    crops = 1.0 if config.get("crop_to_aspect_ratio") else None
    interpolation = {"lanczos3": "lanczos", "lanczos5": "lanczos"}.get(
        str(config.get("interpolation")), config.get("interpolation", "bilinear")
    )
    Preprocessing(**sides, crop_fraction=crops, interpolation=interpolation)  # which checks them
    return sides | {"crop_fraction": crops, "interpolation": interpolation}


def _pooling(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"keepdims": bool(config.get("keepdims")), "data_format": _data_format(config)}


def _data_format(config: Mapping[str, Any]) -> str:
    found = config.get("data_format", "channels_last")
    arguments.one_of("data_format", found, ("channels_last", "channels_first"))
    return str(found)


def _dense(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    units = arguments.whole(f"units of {name}", config.get("units"), 1, limits.NETWORK_CLASSES)
    return {"units": units, "use_bias": bool(config.get("use_bias", True)), **_activation(name, config)}


def _activation(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    found = config.get("activation") or "linear"
    if not isinstance(found, str) or not found.isidentifier():
        raise ValueError(f"{name} has the activation {shown(found)}: only Keras' own are understood, by name")
    return {"activation": found}


def _softmax(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    if config.get("axis", -1) not in (-1, 1):
        raise ValueError(f"{name} is a softmax along {shown(config['axis'])}, not over classes")
    return {"activation": "softmax"}


def _batch_norm(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    epsilon = arguments.number(f"epsilon of {name}", config.get("epsilon", 1e-3), 0, 1)
    return {"epsilon": epsilon, **{key: bool(config.get(key, True)) for key in ("center", "scale")}}


def _nothing(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    rate = config.get("rate", 0.0)
    return {"rate": arguments.number(f"rate of {name}", rate, 0, 1)} if isinstance(rate, int | float) else {}


_READERS = {
    "Activation": _activation,
    "BatchNormalization": _batch_norm,
    "Dense": _dense,
    "Flatten": _nothing,
    "GlobalAveragePooling2D": _pooling,
    "InputLayer": _input,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
    "Resizing": _resizing,
    "Softmax": _softmax,
}


def _options(kind: str, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    if kind not in (*_READERS, *_INACTIVE):
        raise ValueError(f"holds a layer {shown(kind)}; understood are: {UNDERSTOOD}")
    return _READERS.get(kind, _nothing)(name, config)


# === What a chain is ===


def _understood(model: Layer) -> Wrapped:
    if model.kind in NETWORKS:
        return Wrapped(model, (), (model, ()), ())
    layers = list(_flat(model, ()))
    if len(layers) > 2 * limits.NETWORK_CELLS:
        raise ValueError(f"has {len(layers):,} layers")
    places = [place for place, (layer, _) in enumerate(layers) if layer.kind in NETWORKS]
    if len(places) != 1:
        raise ValueError(f"holds {len(places)} networks: {'one' if places else 'a NASNet'} is needed")
    place = places[0]
    front, network, head = layers[:place], layers[place], layers[place + 1 :]
    for layer, _ in front:
        if layer.kind not in ("Rescaling", "Normalization", "Resizing", *_ARITHMETIC, *_INACTIVE):
            raise ValueError(f"{shown(layer.name)} in front of the network is not understood: {UNDERSTOOD}")
        if layer.kind in _ARITHMETIC and len(_numbers(layer.name, layer.options["numbers"])) not in (1, 3):
            raise ValueError(f"{shown(layer.name)} is not of a tensor and a number")
    _check_head(network[0], [layer for layer, _ in head])
    return Wrapped(model, tuple(front), network, tuple(head))


def _flat(model: Layer, place: tuple[str, ...]) -> Iterator[tuple[Layer, tuple[str, ...]]]:
    for part in model.parts:
        if part.kind in _CONTAINERS:
            yield from _flat(part, (*place, part.name))
        else:
            yield part, place


def _check_head(network: Layer, head: Sequence[Layer]) -> None:
    """Raise ValueError unless pooling, then at most one classifier with one activation, stand behind the network."""
    config = network.options
    state, last = "features", _last_dense(head)
    if network.kind == "NASNet" and not network.is_spread:
        if config.get("include_top", True):
            state = "classified" if config.get("classifier_activation") in (None, "linear") else "done"
            if config.get("auxiliary_head"):
                raise ValueError("its network has an auxiliary head: wrap the network without it")
        elif config.get("pooling") == "avg":
            state = "pooled"
        elif config.get("pooling") is not None:
            raise ValueError(f"its network is pooled by {shown(config['pooling'])}: only averages are understood")
    for layer in head:
        if layer.kind in _INACTIVE:
            continue
        if layer.kind == "Flatten" and state != "features":
            continue
        if layer.kind == "GlobalAveragePooling2D" and state == "features":
            state = "pooled"
        elif layer.kind == "BatchNormalization" and state == "pooled":
            continue
        elif layer.kind == "Dense" and state == "pooled":
            state = "pooled" if layer is not last else "classified"
            if state == "pooled" and layer.options["activation"] != "linear":
                raise ValueError(
                    f"its head has a hidden layer, {shown(layer.name)} ({layer.options['activation']}): one Dense "
                    "layer is understood; save what is below it alone for `features` and `finetune`"
                )
            if state == "classified" and layer.options["activation"] != "linear":
                state = "done"
        elif layer.kind in ("Activation", "Softmax") and state == "classified":
            state = "done" if layer.options["activation"] != "linear" else state
        else:
            raise ValueError(f"{shown(layer.name)} ({layer.kind}) behind the network is not understood: {UNDERSTOOD}")


def _last_dense(head: Sequence[Layer]) -> Layer | None:
    return next((layer for layer in reversed(head) if layer.kind == "Dense"), None)


# === What becomes of it ===


def rebuild(wrapped: Wrapped) -> "keras.Model":
    """Return the model anew, of layers that are made here, so that the weights that were saved of it can be read.

    Raises:
        ValueError: if the network cannot be built.
    """
    return _make(wrapped.model)


def _rebuild(model: Layer) -> "keras.Model":
    import keras

    shape = model.options.get("shape")
    if model.kind == "Sequential":
        layers = [] if shape is None else [keras.Input(shape)]
        return keras.Sequential(layers + [_make(part) for part in model.parts], name=model.name)
    inputs = outputs = keras.Input(shape)
    for part in model.parts:
        if part.is_spread:
            from keras_nasnet.models.classifier import NASNet

            outputs = NASNet(**part.options | {"include_top": False}, input_tensor=outputs).output
        else:
            outputs = _make(part)(outputs)
    return keras.Model(inputs, outputs, name=model.name)


def _make(layer: Layer) -> Any:
    """Return a layer of Keras, or one of the networks."""
    import keras

    options, name = layer.options, layer.name
    if layer.kind in _CONTAINERS:
        return _rebuild(layer)
    if layer.kind in NETWORKS:
        from keras_nasnet.models.backbone import NASNetBackbone
        from keras_nasnet.models.classifier import NASNet

        networks: dict[str, Any] = {"NASNet": NASNet, "NASNetBackbone": NASNetBackbone}
        return networks[layer.kind].from_config(dict(options))
    if layer.kind in _INACTIVE:
        return keras.layers.Identity(name=name)
    if layer.kind in _ARITHMETIC:
        factor, offset = _arithmetic(layer)
        return keras.layers.Rescaling(_plain(factor), _plain(offset), dtype="float32", name=name)
    if layer.kind == "Resizing":
        kept = {key: options[key] for key in ("height", "width")}
        return keras.layers.Resizing(**kept, crop_to_aspect_ratio=options["crop_fraction"] is not None, name=name)
    if layer.kind == "Rescaling":
        options = {key: _plain(np.array(value)) for key, value in options.items()}
    elif layer.kind in ("Dropout", "Flatten", "Softmax"):
        options = {}
    return getattr(keras.layers, layer.kind)(**options, dtype="float32", name=name)


def _plain(values: np.ndarray) -> float | list[float]:
    return float(values.reshape(-1)[0]) if values.size == 1 else values.tolist()


def _arithmetic(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Return factor and offset of a layer that computes with numbers."""
    numbers = np.array(_numbers(layer.name, layer.options["numbers"]))
    one, nothing = np.ones_like(numbers), np.zeros_like(numbers)
    with np.errstate(divide="ignore"):
        return {
            "Add": (one, numbers),
            "Subtract": (one, -numbers),
            "Multiply": (numbers, nothing),
        }.get(layer.kind, (1 / numbers, nothing))


def convert(model: "keras.Model", wrapped: Wrapped) -> "NASNet":
    """Return the `NASNet` that a model is, with its weights.

    The name of the model, the classes and their activation stay; of logits a softmax is taken, and one output that says
    yes or no becomes two classes.

    Raises:
        ValueError: if it cannot be one, or does not compute the same.
    """
    from keras_nasnet.models.classifier import NASNet
    from keras_nasnet.models.weights import copy_weights

    layer, place = wrapped.network
    holder = _inside(model, place)
    network = holder if layer.is_spread or layer is wrapped.model else holder.get_layer(layer.name)
    config = dict(layer.options)
    if layer.kind == "NASNetBackbone":
        config.pop("trainable", None)
    scaling, is_scaled = _scaling(model, wrapped)
    height, width = wrapped.image_size
    first = config.get("data_format") == "channels_first"
    options: dict[str, Any] = {
        "name": _name(wrapped.model.name),
        "input_shape": (3, height, width) if first else (height, width, 3),
        "preprocessing": _preprocessing(wrapped, config, scaling if is_scaled else None),
    }
    kernel = None
    if any(part.kind == "Dense" for part, _ in wrapped.head):
        kernel, bias, activation = _classifier(model, wrapped, network)
        options |= {"include_top": True, "pooling": None, "classes": len(bias), "class_names": None}
        options |= {"classifier_activation": activation, "dropout": _dropout(wrapped), "auxiliary_head": False}
    elif layer.kind == "NASNetBackbone" or layer.is_spread or not config.get("include_top", True):
        options |= {"include_top": False, "pooling": "avg"}
    elif config.get("classifier_activation") in (None, "linear"):
        options["classifier_activation"] = "softmax"
    found = NASNet(**config | options)
    copy_weights(network, found, head=kernel is None)
    if kernel is not None:
        dense = found.get_layer("predictions")
        dense.kernel.assign(kernel)
        dense.bias.assign(bias)
    _compare(model, found, wrapped, is_scaled)
    return found


def _name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_. " else "_" for letter in name) or "network"


def _inside(model: "keras.Model", place: Sequence[str]) -> Any:
    for name in place:
        model = model.get_layer(name)
    return model


def _values(variable: Any) -> np.ndarray:
    import keras

    return keras.ops.convert_to_numpy(variable).astype(np.float64)


def _scaling(model: "keras.Model", wrapped: Wrapped) -> tuple[tuple[np.ndarray, np.ndarray], bool]:
    """Return factor and offset of what the layers in front of the network do to pixels, and whether there are any."""
    factor, offset, is_scaled = np.ones(3), np.zeros(3), False
    for layer, place in wrapped.front:
        if layer.kind == "Rescaling":
            by, add = (np.array(layer.options[key]) for key in ("scale", "offset"))
        elif layer.kind in _ARITHMETIC:
            by, add = _arithmetic(layer)
        elif layer.kind == "Normalization":
            mean, variance = (layer.options[key] for key in ("mean", "variance"))
            if mean is None or variance is None:
                adapted = _inside(model, place).get_layer(layer.name)
                mean, variance = (_values(value).reshape(-1) for value in (adapted.mean, adapted.variance))
            by = 1 / np.sqrt(np.maximum(np.array(variance, np.float64), 1e-14))
            add = -np.array(mean) * by
        else:
            continue
        is_scaled = True
        factor, offset = factor * by, offset * by + add
    if not (np.isfinite(factor).all() and np.isfinite(offset).all() and (factor > 0).all()):
        raise ValueError("the layers in front of the network make no numbers of pixels, or turn them around")
    return (factor, offset), is_scaled


def _preprocessing(
    wrapped: Wrapped, config: Mapping[str, Any], scaling: tuple[np.ndarray, np.ndarray] | None
) -> Preprocessing:
    """Return how images become the network's input: as the layers in front say, else as the network itself does."""
    height, width = wrapped.image_size
    given = config.get("preprocessing")
    data = Preprocessing(None, None).to_dict() if given is None else Preprocessing.from_dict(given).to_dict()
    data |= {"height": height, "width": width}
    for layer, _ in wrapped.front:
        if layer.kind == "Resizing":
            data |= layer.options
    if scaling is not None:
        factor, offset = scaling
        data |= {"mean": (0 - offset / factor).tolist(), "std": (1 / factor).tolist()}
    return Preprocessing.from_dict(data)


def _classifier(model: "keras.Model", wrapped: Wrapped, network: Any) -> tuple[np.ndarray, np.ndarray, str]:
    """Return kernel, bias and activation of the one dense layer that the head is."""
    kernel: np.ndarray | None = None
    bias: np.ndarray | float = 0.0
    scale: np.ndarray | float = 1.0
    activation = "linear"
    for layer, place in wrapped.head:
        if layer.kind == "BatchNormalization":
            norm = _inside(model, place).get_layer(layer.name)
            by = 1 / np.sqrt(_values(norm.moving_variance) + layer.options["epsilon"])
            by = by * _values(norm.gamma) if layer.options["scale"] else by
            add = -_values(norm.moving_mean) * by + (_values(norm.beta) if layer.options["center"] else 0)
            scale, bias = scale * by, bias * by + add
            kernel = None if kernel is None else kernel * by
        elif layer.kind == "Dense":
            dense = _inside(model, place).get_layer(layer.name)
            own = _values(dense.kernel)
            bias = (bias + np.zeros(len(own))) @ own + (_values(dense.bias) if layer.options["use_bias"] else 0)
            kernel = np.broadcast_to(scale, len(own))[:, None] * own if kernel is None else kernel @ own
            scale = 1.0
        if layer.options.get("activation", "linear") != "linear":
            activation = layer.options["activation"]
    assert kernel is not None and isinstance(bias, np.ndarray)
    if kernel.shape[1] == 1 and activation in ("linear", "sigmoid"):
        # sigmoid(x) is the second of softmax(0, x).
        kernel, bias = (np.concatenate([np.zeros_like(one), one], axis=-1) for one in (kernel, bias))
        activation = "softmax"
    return kernel, bias, "softmax" if activation == "linear" else activation


def _dropout(wrapped: Wrapped) -> float:
    return next((part.options.get("rate", 0.0) for part, _ in reversed(wrapped.head) if part.kind == "Dropout"), 0.0)


def _compare(model: "keras.Model", found: "NASNet", wrapped: Wrapped, is_scaled: bool) -> None:
    """Raise ValueError unless both compute the same of noise."""
    import keras

    height, width = (side or 64 for side in wrapped.image_size)
    outer = wrapped.model.options.get("shape")
    if height * width > _COMPARED:
        return
    if (
        any(layer.kind == "Resizing" for layer, _ in wrapped.front)
        and outer is not None
        and outer[0] not in (None, height)
    ):
        return  # ours scales with other filters, so that noise becomes other noise
    images = np.random.default_rng(0).uniform(0, 255, (2, height, width, 3)).astype(np.float32)
    scaled = found.preprocessing.scale(images)
    first = found.get_config()["data_format"] == "channels_first"
    given, own = (one.transpose(0, 3, 1, 2) if first else one for one in (images if is_scaled else scaled, scaled))
    expected, outputs = (_values(one(batch, training=False)) for one, batch in ((model, given), (found, own)))
    if found.get_config()["include_top"]:
        config = wrapped.network[0].options
        logits = not any(part.options.get("activation", "linear") != "linear" for part, _ in wrapped.head) and (
            any(part.kind == "Dense" for part, _ in wrapped.head)
            or config.get("classifier_activation") in (None, "linear")
        )
        if logits and expected.shape[-1] > 1:
            expected = np.asarray(keras.ops.convert_to_numpy(keras.ops.softmax(expected)))
        elif expected.shape[-1] == 1 and outputs.shape[-1] == 2:
            outputs = outputs[:, 1:]
            expected = 1 / (1 + np.exp(-expected)) if logits else expected
    elif expected.ndim == 4:
        expected = expected.mean((2, 3) if first else (1, 2))
    if expected.shape != outputs.shape or not np.allclose(expected, outputs, rtol=1e-2, atol=1e-3, equal_nan=True):
        raise ValueError(
            f"is no chain as it seems: a NASNet of its weights gives other outputs; understood are: {UNDERSTOOD}"
        )
