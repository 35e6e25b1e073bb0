"""The ledger as a running thing: the pipeline from bytes to receipt, queries, and the auditor."""
