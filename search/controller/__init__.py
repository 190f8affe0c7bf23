"""Controllers: they ask for children and are told rewards; they know nothing of training, storage or machines."""
