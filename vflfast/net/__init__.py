"""Between processes and machines: delivery, durable state, the service."""
