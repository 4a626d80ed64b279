"""The runs that have no answer yet, and that every one ends."""
