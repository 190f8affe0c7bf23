"""Where trained NASNets live: a catalog, their weights, and converters from other code."""
