"""What people may ask for: erasure, its receipts and its leak test, trace, consent."""
