"""Who gets a question: a cascade of rules and classifiers, the cheapest first."""
