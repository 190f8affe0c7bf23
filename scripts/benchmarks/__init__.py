"""How fast this package is beside others: `python -m scripts.benchmarks TOPIC`, in a checkout; one module a topic."""
