"""What two devices without a network need of the ledger: its signed documents and its judgement of a payment."""
