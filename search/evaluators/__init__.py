"""Evaluators: what a child is worth, and what it cost to find out."""
