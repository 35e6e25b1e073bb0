"""Following a purpose's money: what the sponsor may see, read from the log and the final state.

`track` streams the log once and decodes what moves the purpose's tokens, from outpoint to outpoint. It does not
re-execute: that would hold the whole state in memory to find a few tokens. Where an entry alone does not say what
happened, the state does: which evidence counted and when (the spenders of offline outputs, and what each entry
consumed), what mark an offline output bears, whether a payment waited and how that ended. The outcome is compared with
the state, token by token, before anybody sees it. It takes the log as it is stored; whether that is sound is
`cbdc.service.audit`'s to say.

Nothing of other money enters: an output that does not draw from the purpose is never looked at, and where a mark ends
the trail ends, but for a refund or release that brings the money back under it.
"""

from cbdc.service.tracking.follow import Progress, track
from cbdc.service.tracking.named import find_purpose
from cbdc.service.tracking.records import (
    NOT_STATED,
    NOT_TOLD_APART,
    Books,
    Fate,
    Flow,
    Group,
    Held,
    Moved,
    Movement,
    Place,
    Row,
    Tracked,
    Turn,
)
from cbdc.service.tracking.sums import day_of, rows_by

__all__ = [
    "NOT_STATED",
    "NOT_TOLD_APART",
    "Books",
    "Fate",
    "Flow",
    "Group",
    "Held",
    "Moved",
    "Movement",
    "Place",
    "Progress",
    "Row",
    "Tracked",
    "Turn",
    "day_of",
    "find_purpose",
    "rows_by",
    "track",
]
