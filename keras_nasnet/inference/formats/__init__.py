"""Formats in which a network can be exported: one module each, and a row in `registry`."""
