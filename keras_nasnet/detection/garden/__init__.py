"""The detector that runs on the TensorFlow Model Garden's Faster R-CNN."""
