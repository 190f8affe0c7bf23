"""Models: the classifier, the backbone, the networks of the paper, and their cost."""
