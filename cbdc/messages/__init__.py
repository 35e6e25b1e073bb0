"""The messages that the ledger takes in: what they say (`bodies`) and how bytes become one (`message`)."""
