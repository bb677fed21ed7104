"""Recall: what an agent remembers of a question."""
