"""The three-party protocol: messages, legal steps, three programs, the inline run."""
