"""The agent that ships with the platform: it takes what fits nobody else."""

from trunkline import Agent

generalist = Agent(
    "generalist",
    description="Anything that fits no other agent: greetings, general questions, small talk.",
    examples=["Hello, what can you do?", "Who are you?", "Can you help me?"],
    instructions=(
        "You are the generalist of a platform of specialised agents. Answer briefly and honestly. "
        "Use your tools for sums and for the time. "
        "Say so when you do not know, and never invent facts about the user's data."
    ),
    model="small",
    tools=["calculate", "time_now"],
    generalist=True,
)
