"""What makes a text searchable by meaning."""
