"""The pure transition: ``apply(view, entry) -> delta``. Start in `cbdc.transition.apply`."""
