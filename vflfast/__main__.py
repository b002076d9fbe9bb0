"""``python -m vflfast``."""

from .cli import main

main()
