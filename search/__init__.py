"""How a NASNet is found: search spaces, controllers and evaluators."""
