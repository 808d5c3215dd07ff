"""The kinds of data that systems learn from: rows with named values, checked once, that are read, split, saved and loaded.

`privkd.data` hands them out.
"""
