"""Search spaces: a child as a row of tokens, and as the genotype that it stands for."""
