"""The export formats that there are. Importing this imports none of their runtimes."""

from keras_nasnet.common.registry import Registry
from keras_nasnet.inference.formats.format import Format

_HERE = "keras_nasnet.inference.formats"

FORMATS: Registry[Format] = Registry(
    "export format",
    {
        "onnx": f"{_HERE}.onnx:FORMAT",
        "openvino": f"{_HERE}.openvino:FORMAT",
        "litert": f"{_HERE}.litert:FORMAT",
        "saved_model": f"{_HERE}.saved_model:FORMAT",
        "keras": f"{_HERE}.keras_file:FORMAT",
    },
)
