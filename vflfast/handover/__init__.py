"""Handing a trained model over: what each class of each feature adds, and that in other formats."""
