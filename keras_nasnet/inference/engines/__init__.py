"""The runtimes that compute a network: one module and one row for each."""
