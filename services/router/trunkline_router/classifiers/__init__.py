"""Which of some labels a text is for, learnt from a few examples of each."""
