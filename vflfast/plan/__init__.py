"""What a run takes, predicted before it starts from measured rates."""
