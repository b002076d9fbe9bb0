"""A trial of the whole protocol in scikit-learn's words: all parties in one process."""
