"""Special-purpose tokens: what a purpose says, and the conditions that decide about a payment."""
