"""Synthetic tables for the demo, the tutorial and the tests, and the demo that runs over them."""
