"""The ledger's state: records under keys, views over them, and the root that commits to all of them."""
