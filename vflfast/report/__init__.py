"""One self-contained HTML page about a run: data, charts, page."""
