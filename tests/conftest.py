"""Hypothesis profiles: ``HYPOTHESIS_PROFILE=dev|ci|nightly`` chooses how hard the property tests look.

No profile has a deadline: the machines that run this are too different for one. ``ci`` is derandomized, so that a
red build is always red; ``dev`` and ``nightly`` look somewhere else every time.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("dev", max_examples=20, stateful_step_count=30, deadline=None, print_blob=True)
settings.register_profile("ci", settings.get_profile("dev"), max_examples=100, derandomize=True)
settings.register_profile("nightly", settings.get_profile("dev"), max_examples=3000, stateful_step_count=60)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
