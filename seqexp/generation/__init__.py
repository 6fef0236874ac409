"""Translating a text of any length: shared out, kept as it is finished, and written in the order of the input."""
