"""A help desk: what each agent says of itself, what it is asked, and what is nobody's business."""

from trunkline_router.classifiers.classify import RouteCard

AGENTS = {
    "billing": (
        "Invoices, refunds and payment methods",
        (
            "Why was I charged twice?",
            "I want my money back",
            "What is the status of invoice 1042?",
            "Change the card on my account",
        ),
        (
            "you took the payment two times this month",
            "how do I get a refund",
            "can I pay by bank transfer instead",
            "my last bill looks wrong",
            "send me the receipt for March",
        ),
    ),
    "shipping": (
        "Parcels, delivery times and tracking",
        (
            "Where is my parcel?",
            "When will my order arrive?",
            "The courier left my package at the wrong address",
            "Can I change the delivery date?",
        ),
        (
            "track order 7781 please",
            "my package has not turned up",
            "how long does delivery to Spain take",
            "the driver never rang the bell",
            "I need it delivered a day later",
        ),
    ),
    "catalog": (
        "Products, prices and stock",
        (
            "What does the desk lamp cost?",
            "Do you sell office chairs?",
            "Is the blue sofa in stock?",
            "Which table is made of oak?",
        ),
        (
            "how much is a bookshelf",
            "have you got garden furniture",
            "is there a cheaper wardrobe",
            "what sizes does the rug come in",
            "do you have this in green",
        ),
    ),
    "returns": (
        "Sending things back, exchanges and warranty claims",
        (
            "I want to return these shoes",
            "The chair arrived broken",
            "How do I exchange it for a larger size?",
            "Is this covered by the warranty?",
        ),
        (
            "the lamp stopped working after a week",
            "can I send this back",
            "wrong size, I need another one",
            "one leg of the table is cracked",
            "print me a return label",
        ),
    ),
    "accounts": (
        "Passwords, sign-in and personal data",
        ("I forgot my password", "I cannot log in", "Change my e-mail address", "Delete my account"),
        (
            "reset my password please",
            "it says my login is invalid",
            "update my phone number",
            "close my profile and erase my data",
            "two-factor code never arrives",
        ),
    ),
    "weather": (
        "Forecasts for any city",
        (
            "What is the forecast for Oslo?",
            "Will it rain tomorrow in Rome?",
            "How cold is it in Helsinki?",
            "Is there a storm coming?",
        ),
        (
            "do I need an umbrella in London today",
            "temperature in Madrid this weekend",
            "how windy will it get tonight",
            "is snow expected in Bergen",
            "sunny or cloudy in Paris on Friday",
        ),
    ),
    "travel": (
        "Flights, hotels and train tickets",
        (
            "Book a flight to Berlin",
            "Find me a hotel near the station",
            "Which train goes to Lyon in the morning?",
            "Cancel my hotel reservation",
        ),
        (
            "I need a plane ticket to New York",
            "any rooms free in Vienna on Saturday",
            "when does the last train to Prague leave",
            "move my flight to Monday",
            "cheapest way to get to Milan",
        ),
    ),
    "calendar": (
        "Meetings, reminders and free time",
        (
            "Set up a meeting with Anna on Tuesday",
            "What is on my agenda today?",
            "Remind me to call the dentist",
            "Move the stand-up to ten o'clock",
        ),
        (
            "when am I free on Thursday",
            "schedule a call with the design team",
            "cancel my two o'clock appointment",
            "do I have anything after lunch",
            "put the review on Friday morning",
        ),
    ),
    "developer": (
        "Code, errors and deployments",
        (
            "Why does the build fail?",
            "Write a unit test for this function",
            "Roll back the last deployment",
            "What does this stack trace mean?",
        ),
        (
            "the pipeline is red again",
            "refactor this class for me",
            "I get a null pointer exception on start",
            "deploy version 2.3 to staging",
            "explain this regular expression",
        ),
    ),
}

NOBODY = (
    "Who wrote War and Peace?",
    "Tell me a joke",
    "How do I bake sourdough bread?",
    "What is the capital of Mongolia?",
    "My knee hurts when I run",
    "Translate good morning into Japanese",
    "Which team won the cup in 1998?",
    "Is it legal to keep chickens in the city?",
    "How many moons does Jupiter have?",
    "Recommend a film for tonight",
    "What is the meaning of life?",
    "Help me with my algebra homework",
    "How do I teach my dog to sit?",
    "asdf qwer zxcv",
    "Summarise the French Revolution",
    "How tall is Mount Kenya?",
    "Should I buy shares or bonds?",
    "Which mushrooms are poisonous?",
    "Sing me a song",
    "Why is the sky blue?",
)


def routes(*names: str) -> list[RouteCard]:
    """These agents, or all."""
    return [RouteCard(name, *AGENTS[name][:2]) for name in names or AGENTS]
