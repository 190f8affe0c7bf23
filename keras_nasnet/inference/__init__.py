"""Inference: folded networks, exports, engines."""
