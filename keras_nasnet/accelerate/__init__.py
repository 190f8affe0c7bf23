"""Everything that reaches into a framework's internals to make it faster or quieter."""
