"""Decoded messages as the plain dictionaries that the model reads. Facts about signatures come from here."""

from __future__ import annotations

from typing import Any

from cbdc.errors import BadSignature
from cbdc.formats import certificates, requests, x509
from cbdc.formats.tokens import Output
from cbdc.messages import bodies
from cbdc.messages.message import Body, Message, decode
from cbdc.policy import Policy
from cbdc.purposes.definition import Definition
from tests.stateful import model


def plain(raw: bytes, network: bytes) -> model.Message:
    """A message whose signatures hold."""
    return _message(decode(raw, network), network)


def _message(message: Message, network: bytes) -> model.Message:
    facts = _facts(message, network)
    return {"id": message.id, "signers": message.signers} | facts


def _facts(message: Message, network: bytes) -> dict[str, Any]:
    match message.body:
        case bodies.Genesis() as genesis:
            return {
                "kind": "genesis",
                "root": _institution(genesis.root, network),
                "operator": _institution(genesis.operator, network),
                "policy": _policy(genesis.policy),
            }
        case bodies.Admit() as admit:
            return {"kind": "admit", "institution": _institution(admit.institution, network)}
        case bodies.Dismiss() as dismiss:
            return {"kind": "dismiss", "name": dismiss.name}
        case bodies.SetPolicy() as change:
            return {"kind": "set_policy", "policy": _policy(change.policy)}
        case bodies.Enrol():
            return {"kind": "enrol", "certificates": [certificate(c) for c in message.certificates]}
        case bodies.Revoke() as revoke:
            return {"kind": "revoke", "certificate": revoke.certificate}
        case bodies.Issue() as issue:
            return {"kind": "issue", "outputs": _outputs(issue.outputs)}
        case bodies.Reconcile():
            return {"kind": "reconcile", "parts": [_message(part, network) for part in message.parts]}
        case bodies.Sweep() as sweep:
            return {"kind": "sweep", "outpoints": sweep.outpoints}
        case bodies.Spend() as spend:
            return _spend(spend, network)
    return _about_purposes(message.body)


def _about_purposes(body: Body) -> dict[str, Any]:
    match body:
        case bodies.Approve() as approve:
            return {"kind": "approve", "payment": approve.payment, "by": approve.by}
        case bodies.Attest() as attest:
            return {"kind": "attest", "oracle": attest.oracle, "fact": attest.fact, "about": attest.about}
        case bodies.Allow() as allow:
            common = {"kind": "allow", "purpose": allow.purpose}
            return common | {"account": allow.account, "amount": allow.amount_tiyn}
        case bodies.Recall() as recall:
            return {"kind": "recall", "purpose": recall.purpose, "outpoints": recall.outpoints}
        case Definition() as definition:
            return {
                "kind": "define",
                "sponsor": definition.sponsor,
                "return_to": definition.return_to,
                "condition": definition.condition.to_cbor(),
                "mark": definition.mark.to_cbor(),
                "split": definition.split.to_cbor() if definition.split else None,
                "expires": definition.expires_s,
            }
    raise AssertionError(f"no such body: {body}")


def _spend(spend: bodies.Spend, network: bytes) -> dict[str, Any]:
    common = {
        "kind": type(spend).__name__.lower(),
        "inputs": spend.inputs,
        "outputs": _outputs(spend.outputs),
        "valid_until": spend.valid_until_s,
    }
    match spend:
        case bodies.Transfer():
            lines = [(line.category, line.amount_tiyn) for line in spend.lines]
            return common | {"terms": _terms(spend.terms), "lines": lines, "request": _request(spend, network)}
        case bodies.Redeem() | bodies.Reserve():
            return common | {"amount": spend.amount_tiyn}
        case bodies.Repay():
            return common | {"purse": spend.purse, "amount": spend.amount_tiyn}
        case bodies.Grant():
            return common | {"purpose": spend.purpose}
        case bodies.Refund():
            return common | {"payment": spend.payment, "purpose": spend.purpose, "payee": spend.payee}
        case _:
            return common


def _request(transfer: bodies.Transfer, network: bytes) -> dict[str, Any] | None:
    if transfer.request is None:
        return None
    request = requests.read(transfer.request, network)
    lines = [(line.category, line.amount_tiyn) for line in request.lines]
    return {"id": request.id, "payee": request.payee, "amount": request.amount_tiyn, "lines": lines}


def _terms(terms: bodies.OfflineTerms | None) -> dict[str, Any] | None:
    if terms is None:
        return None
    return {
        "payer": terms.payer_certificate,
        "payee": terms.payee_certificate,
        "spends": terms.spends,
        "hop": terms.hop,
        "trust_list": terms.trust_list_s,
        "ledger_time": terms.ledger_time_s,
    }


def _outputs(outputs: tuple[Output, ...]) -> list[model.Output]:
    return [model.Output(output.owner, output.amount_tiyn, output.purpose) for output in outputs]


def _policy(policy: Policy) -> dict[str, int]:
    return {
        "holding": policy.offline_holding_tiyn,
        "payment": policy.offline_payment_tiyn,
        "spends": policy.offline_spends,
        "hops": policy.offline_hops,
        "spend_days": policy.offline_spend_days,
        "final_days": policy.offline_final_days,
        "trust_list_days": policy.trust_list_days,
    }


def _institution(institution: x509.Institution, network: bytes) -> dict[str, Any]:
    try:
        x509.verify_issued_by(institution, network)
        issuer = network
    except BadSignature:
        issuer = b"another"
    return {
        "name": institution.name,
        "role": institution.role.value,
        "key": institution.key,
        "starts": institution.not_before_s,
        "expires": institution.not_after_s,
        "issuer": issuer,
    }


def certificate(found: certificates.Certificate) -> model.Certificate:
    """A customer's certificate."""
    limits, merchant = found.limits, found.merchant
    return model.Certificate(
        id=found.id,
        account=found.account,
        bank=found.bank,
        key=found.key,
        expires=found.expires_s,
        holder=found.holder.name.lower(),
        mcc=merchant.mcc if merchant else None,
        kato=merchant.kato if merchant else None,
        limits=(limits.holding_tiyn, limits.payment_tiyn, limits.spends, limits.hops) if limits else None,
        online=found.online_key,
        tier=found.tier,
        allowances=limits.allowances if limits else (),
    )
