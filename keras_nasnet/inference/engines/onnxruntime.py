"""ONNX Runtime: runs ONNX files."""

from keras_nasnet.inference.engines.compiled import FileEngine


class OnnxRuntimeEngine(FileEngine):
    """See the module."""

    name, title = "onnxruntime", "ONNX Runtime"
    module = distribution = "onnxruntime"
    form = extra = "onnx"


ENGINE = OnnxRuntimeEngine()
