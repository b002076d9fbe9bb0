"""The same customers in the same order at every party: protected ids, private intersection, the match report."""
