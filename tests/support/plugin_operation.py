"""An operation of one's own: a 5x5 convolution. To import the module is to add it."""

from keras_nasnet.genotype import OPERATION_LAYERS
from keras_nasnet.layers import Operation


class WideConvolution(Operation):
    def build(self, input_shape):
        self.convolution = self.make_convolution("convolution", self.filters, kernel_size=5, strides=self.stride)
        self.batch_norm = self.make_batch_norm("batch_norm")
        self.convolution.build(input_shape)
        self.batch_norm.build(self.compute_output_shape(input_shape))

    def call(self, inputs):
        return self.batch_norm(self.convolution(inputs))

    def fold(self, folder, state):
        return folder.batch_norm(self.batch_norm, folder.convolution(self.convolution, folder.relu(state)))

    def mult_adds(self, input_shape):
        return self.kernels_at_output(input_shape)


OPERATION_LAYERS.register("conv_5x5", WideConvolution)
