"""Conversations with the help desk, and with a bank: who answered last, what is said next, and whose that is."""

from __future__ import annotations

from typing import NamedTuple


class Next(NamedTuple):
    partner: str
    text: str
    agent: str


ANYBODY = "generalist"

STAY = (
    # small talk, in English and German
    Next("billing", "Thanks!", "billing"),
    Next("shipping", "hello again", "shipping"),
    Next("travel", "ok, go ahead", "travel"),
    Next("travel", "yes please", "travel"),
    Next("calendar", "perfect, thank you very much", "calendar"),
    Next("weather", "Danke, das war sehr nett", "weather"),
    Next("returns", "Guten Morgen", "returns"),
    Next("billing", "ja bitte", "billing"),
    Next("accounts", "alles klar, vielen Dank", "accounts"),
    # what says nothing by itself
    Next("billing", "and for last month?", "billing"),
    Next("catalog", "what about the other one", "catalog"),
    Next("developer", "why?", "developer"),
    Next("shipping", "7781", "shipping"),
    Next("weather", "and tomorrow?", "weather"),
    Next("billing", "und für Juli?", "billing"),
    Next("travel", "can you explain that in more detail?", "travel"),
    Next("catalog", "Was ist mit dem anderen?", "catalog"),
    Next("accounts", "how long will that take", "accounts"),
    # what goes on, with a word or two of its own
    Next("catalog", "and in blue?", "catalog"),
    Next("catalog", "does it come with cushions?", "catalog"),
    Next("weather", "and in Rome?", "weather"),
    Next("weather", "Helsinki", "weather"),
    Next("travel", "what about a cheaper one with breakfast", "travel"),
    Next("travel", "is it refundable?", "travel"),
    Next("calendar", "Anna Schmidt", "calendar"),
    Next("calendar", "no, make it eleven o'clock", "calendar"),
    Next("developer", "it still fails with the same message", "developer"),
    Next("developer", "and on staging?", "developer"),
    Next("shipping", "the neighbour has not seen it either", "shipping"),
    Next("shipping", "can they leave it in the garage?", "shipping"),
    Next("returns", "it was a present, so I have no receipt", "returns"),
    Next("billing", "but I never agreed to that", "billing"),
    Next("billing", "can you send it to my accountant as well?", "billing"),
    Next("accounts", "that one does not work either", "accounts"),
    # plain questions to the same agent
    Next("billing", "Can I pay the rest by bank transfer?", "billing"),
    Next("weather", "how windy will the weekend get", "weather"),
    Next("travel", "which of the trains has a dining car", "travel"),
    Next("developer", "show me the log of the failed step", "developer"),
    # the generalist's talks
    Next(ANYBODY, "tell me another one", ANYBODY),
    Next(ANYBODY, "thanks, that was funny", ANYBODY),
    Next(ANYBODY, "and who was the second king?", ANYBODY),
)

SWITCH = (
    Next("billing", "Where is my parcel?", "shipping"),
    Next("billing", "do I need an umbrella in London today", "weather"),
    Next("shipping", "you took the payment two times this month", "billing"),
    Next("shipping", "it says my login is invalid", "accounts"),
    Next("weather", "Book a flight to Berlin", "travel"),
    Next("weather", "any rooms free in Vienna on Saturday", "travel"),
    Next("travel", "will it rain tomorrow in Rome?", "weather"),
    Next("travel", "schedule a call with the design team", "calendar"),
    Next("catalog", "I forgot my password", "accounts"),
    Next("calendar", "the pipeline is red again", "developer"),
    Next("developer", "when am I free on Thursday", "calendar"),
    Next("accounts", "how much is a bookshelf", "catalog"),
    Next("returns", "and where is my parcel?", "shipping"),
    Next("billing", "Also, I cannot log in", "accounts"),
    Next("catalog", "the lamp stopped working after a week, I want to send it back", "returns"),
    Next(ANYBODY, "Why was I charged twice?", "billing"),
    Next(ANYBODY, "track order 7781 please", "shipping"),
    Next("billing", "Tell me a joke", ANYBODY),
    Next("travel", "Who wrote War and Peace?", ANYBODY),
    Next("developer", "How do I bake sourdough bread?", ANYBODY),
    Next("calendar", "Which mushrooms are poisonous?", ANYBODY),
)

BEGINNINGS = (
    "Hello",
    "hi there!",
    "Good morning everyone",
    "Hey, how are you doing?",
    "thanks",
    "ok",
    "Hallo zusammen",
    "Guten Tag",
    "Moin",
    "Grüß Gott",
    "Vielen Dank für die Hilfe",
    "Servus",
)
"""What begins a conversation and asks for nothing."""

LATER = (
    # written after the margins were chosen
    Next("billing", "cheers mate", "billing"),
    Next("billing", "and the one before?", "billing"),
    Next("shipping", "which courier has it?", "shipping"),
    Next("shipping", "ok, and on Saturday?", "shipping"),
    Next("catalog", "do you have it in oak as well?", "catalog"),
    Next("catalog", "how heavy is it", "catalog"),
    Next("returns", "who pays for sending it?", "returns"),
    Next("returns", "und wie lange dauert das?", "returns"),
    Next("accounts", "which one is the new address?", "accounts"),
    Next("weather", "what about the wind?", "weather"),
    Next("weather", "Und übermorgen?", "weather"),
    Next("travel", "a window seat if possible", "travel"),
    Next("travel", "two adults and one child", "travel"),
    Next("calendar", "invite Tom too", "calendar"),
    Next("developer", "line 42", "developer"),
    Next("developer", "now it says permission denied", "developer"),
    Next("shipping", "how do I get a refund", "billing"),
    Next("billing", "my package has not turned up", "shipping"),
    Next("weather", "put the review on Friday morning", "calendar"),
    Next("travel", "explain this regular expression", "developer"),
    Next("accounts", "is snow expected in Bergen", "weather"),
    Next("returns", "have you got garden furniture", "catalog"),
    Next("developer", "What is the capital of Mongolia?", ANYBODY),
    Next("catalog", "My knee hurts when I run", ANYBODY),
    Next(ANYBODY, "move my flight to Monday", "travel"),
    Next("travel", "print me a return label", "returns"),
)
