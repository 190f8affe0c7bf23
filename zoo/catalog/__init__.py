"""The catalog: a TOML file for each set of trained weights."""
