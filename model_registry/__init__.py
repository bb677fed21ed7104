"""Datasets and adapters as files and rows: versions, promotion, rollback, quarantine."""
