"""The training step, one module for each backend of Keras."""
