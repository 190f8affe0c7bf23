"""The weights that all children of a search share."""
