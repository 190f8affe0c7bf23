"""The search's record of its trials, in SQLite."""
