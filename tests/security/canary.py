"""A module that nothing may import: inputs of the corpus name it where code could be named."""

raise AssertionError("code that an input names was imported")
