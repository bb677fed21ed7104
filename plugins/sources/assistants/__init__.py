"""Talks with assistants and companions as their services export them."""
