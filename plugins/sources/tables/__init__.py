"""One message or one exchange a row: JSONL, CSV, Parquet, and any SQLAlchemy URL."""
