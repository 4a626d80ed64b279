"""Two agents that ask a model once, for no more than a hundred tokens."""

from trunkline import Agent

cook = Agent("cook", description="Cooks", model="offline:small", max_output_tokens=100, reuse="off")
baker = Agent("baker", description="Bakes", model="offline:small", max_output_tokens=100, reuse="off")
