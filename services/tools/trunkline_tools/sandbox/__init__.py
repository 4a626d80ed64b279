"""Runs tool code in processes that hold no credentials. Nothing is imported here: a zygote forks faster when small."""
