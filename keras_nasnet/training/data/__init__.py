"""Data for training: arrays in memory, folders of class folders, tensorflow-datasets."""
