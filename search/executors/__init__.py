"""Where children are evaluated: processes of this machine, or a Ray cluster."""
