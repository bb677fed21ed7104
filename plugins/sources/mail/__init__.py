"""Mail: mbox files and single messages."""
