"""LiteRT (TensorFlow Lite): runs its files one image at a time."""

from keras_nasnet.inference.engines.compiled import FileEngine


class LiteRTEngine(FileEngine):
    """See the module."""

    name, title = "litert", "LiteRT"
    module, distribution = "ai_edge_litert", "ai-edge-litert"
    form = extra = "litert"
    batch = 1


ENGINE = LiteRTEngine()
