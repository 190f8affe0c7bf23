"""Keras layers: the cell, its operations, and what they are made of."""
