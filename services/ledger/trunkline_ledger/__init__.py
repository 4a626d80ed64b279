"""The ledger: reads the whole log and answers what happened, what it cost and how long it took."""
