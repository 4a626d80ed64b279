"""What travels on the bus: names, messages, errors. Nothing in here does I/O."""
