"""From files to models and labels: job files, the programs of a party or of all parties, launching, checks before a run, progress."""
