"""The router: admits requests, picks agents, writes tasks."""
