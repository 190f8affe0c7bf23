"""The formats in which weights are read and written: one module and one row for each."""
