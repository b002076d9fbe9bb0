"""Tables, binning, protected ids, synthetic data."""
