"""Calls from one process to another: requests, answers and errors as canonical CBOR.

    request = [name: text, *arguments]
    answer  = [true, value] / [false, code: text, message: text, [* [text, int / bytes / text / bool / null]]]

Which requests there are, and what their arguments look like, is a table of the side that answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cbdc.errors import Malformed, TengeError
from cbdc.formats import cbor
from cbdc.limits import MAX_NAME_CHARS

MAX_ARGUMENTS: Final = 8
"""Longer than the longest list of arguments that any table has."""

MAX_ERROR_VALUES: Final = 32
"""Facts that one error carries: the longest has six."""

_MOST_TEXT: Final = 1000
"""Characters of an error's text that travel: enough for a path in it."""

Shape = Callable[[cbor.Value], Any]
"""Checks one argument and makes it what the call takes. Raises FormError."""

Calls = Mapping[str, tuple[Shape, ...]]


@dataclass(frozen=True, slots=True)
class Call:
    """One call for both ends: the shapes of its arguments, and how its result becomes CBOR and a result again."""

    arguments: tuple[Shape, ...]
    to_cbor: Callable[[Any], cbor.Value]
    from_cbor: Callable[[cbor.Value], Any]

    def result(self, value: cbor.Value) -> Any:
        """The result in an answer's value. Raises FormError, whatever else its decoder may raise at bytes not ours."""
        try:
            return self.from_cbor(value)
        except TengeError:
            raise
        except Exception as wrong:  # noqa: BLE001 - a decoder of foreign bytes has errors of its own
            raise Malformed("not an answer to this call", reason=type(wrong).__name__) from None


def request(name: str, *arguments: cbor.Value) -> bytes:
    """A request as bytes."""
    return cbor.encode([name, *arguments])


def read_request(body: bytes, calls: Calls, max_bytes: int) -> tuple[str, tuple[Any, ...]]:
    """The name of a request and its checked arguments.

    Raises:
        FormError: not a request of this table.
    """
    fields = cbor.array_up_to(cbor.decode(body, max_bytes=max_bytes), "request", 1 + MAX_ARGUMENTS)
    name = fields[0] if fields and type(fields[0]) is str else ""
    shapes = calls.get(name)
    if shapes is None:
        raise Malformed("no such request")
    cbor.array(fields, name, 1 + len(shapes))
    return name, tuple(shape(value) for shape, value in zip(shapes, fields[1:], strict=True))


def answer(value: cbor.Value) -> bytes:
    """What a request gave, as an answer."""
    return cbor.encode([True, value])


def refusal(error: TengeError) -> bytes:
    """An error as an answer: its code, text and values."""
    return cbor.encode([False, *error_fields(error)])


def read_answer(body: bytes, max_bytes: int) -> tuple[cbor.Value, TengeError | None]:
    """The value of an answer, or the error that the other side answered with, as its own class and with its values.

    Raises:
        FormError: not an answer.
    """
    fields = cbor.array_up_to(cbor.decode(body, max_bytes=max_bytes), "answer", 4)
    if fields and fields[0] is True:
        return cbor.array(fields, "answer", 2)[1], None
    kind, *error = cbor.array(fields, "answer", 4)
    if kind is not False:
        raise Malformed("not an answer")
    return None, error_of(error)


# --- errors ------------------------------------------------------------------------------------


def error_fields(error: TengeError) -> list[cbor.Value]:
    """Code, text and values of an error, the values in the order in which its text names them."""
    values = [[name, _plain(value)] for name, value in error.values.items()]
    return [error.code, error.message[:_MOST_TEXT], values]


def error_of(fields: cbor.Value) -> TengeError:
    """The error in its fields; one of a code that nobody here knows is a plain `TengeError`.

    Raises:
        FormError: not an error's fields.
    """
    code, message, values = cbor.array(fields, "error", 3)
    facts: dict[str, object] = {}
    for pair in cbor.array_up_to(values, "values", MAX_ERROR_VALUES):
        name, value = cbor.array(pair, "value", 2)
        facts[cbor.text_up_to(name, "name", MAX_NAME_CHARS)] = value
    return _KINDS.get(str(code), TengeError)(str(message), **facts)


def _plain(value: object) -> cbor.Value:
    if value is None or isinstance(value, bool | bytes):
        return value
    if isinstance(value, int) and abs(value) < 1 << 63:
        return value
    return str(value)[:_MOST_TEXT]


def _kinds(root: type[TengeError]) -> Iterator[type[TengeError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _kinds(kind)


_KINDS: Final = {kind.code: kind for kind in _kinds(TengeError) if "code" in vars(kind)}
