"""Where the ledger is kept. `cbdc.store.base` says what a store must do; SQLite is the embedded default."""
