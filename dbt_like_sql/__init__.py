"""Analytics as plain SQL: one select a file, dependencies and column lineage read from the SQL itself."""
