"""Every table of the system: its columns, types, keys, rules and what they mean.

Nothing else names a column for the first time. Parquet, SQL, Arrow (Lance) and API shapes are generated from here.
"""
