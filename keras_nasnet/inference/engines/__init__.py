"""Engines that compute a network's probabilities: one module each, and a row in `registry`."""
