"""A party's own machines: the heavy passes over a Dask cluster, and what does not fit in memory on a scratch disk."""
