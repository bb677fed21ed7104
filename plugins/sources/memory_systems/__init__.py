"""Exports of other memory systems."""
