"""Labelled images: from folders, arrays and tensorflow-datasets."""
