"""The tool executors: they run tools isolated, within their declared powers."""
