"""Running the platform's processes: the embedded bus, and the services under supervision."""
