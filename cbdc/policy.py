"""The governor's policy: what it bounds, in one frozen record that travels in genesis and policy entries."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from cbdc.errors import Malformed
from cbdc.formats import cbor
from cbdc.limits import MAX_AMOUNT_TIYN

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Policy:
    """Amounts in tiyn, spans in days, counts as they are. The defaults are those of the scenario format."""

    offline_holding_tiyn: int = 100_000_00
    offline_payment_tiyn: int = 20_000_00
    offline_spends: int = 10
    offline_hops: int = 5
    offline_spend_days: int = 7
    offline_final_days: int = 21
    trust_list_days: int = 3
    confidential_payment_tiyn: int = 500_000_00
    cash_payment_tiyn: int = 20_000_00
    cash_month_tiyn: int = 100_000_00
    supervisors: int = 3
    supervisor_quorum: int = 2

    def to_cbor(self) -> cbor.Value:
        return asdict(self)

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Policy:
        """Read a policy map; every field must be there, and the deadlines in order.

        Raises:
            FormError: not a policy.
        """
        names = {field.name for field in fields(cls)}
        if type(value) is not dict or set(value) != names:
            raise Malformed("not the fields of a policy")
        policy = cls(**{name: cbor.unsigned(value[name], name, MAX_AMOUNT_TIYN) for name in names})
        if not 0 < policy.offline_spend_days < policy.offline_final_days <= 3650:
            raise Malformed("offline deadlines: 0 < spend_days < final_days <= 3650")
        if not 0 < policy.trust_list_days <= policy.offline_final_days:
            raise Malformed("trust_list_days is positive and not longer than final_days")
        if not 0 < policy.supervisor_quorum <= policy.supervisors <= 100:
            raise Malformed("0 < supervisor_quorum <= supervisors <= 100")
        return policy
