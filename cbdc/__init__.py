"""Digital Tenge: the ledger.

Read it in the order in which a message travels::

    formats/     bytes in: canonical CBOR, signatures, certificates, messages   (decode, verify)
    purposes/    spending conditions that live inside a token                   (evaluate)
    state/       the ledger's records, views over them, and their root          (read)
    transition/  the pure function ``apply(view, entry) -> delta``              (apply)
    log/         Merkle tree, checkpoint, receipt, trust list                   (log)
    store/       SQLite: entry, state change and leaf in one transaction        (commit)
    service/     the pipeline that joins them, and the auditor that re-does it  (answer)

Everything above ``store`` is pure: no clock, no randomness, no input or output.
"""
