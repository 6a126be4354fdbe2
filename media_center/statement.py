"""Signed statements in JSON: the form that manifests, proofs of pictures and removal rows share. Pure.

    {"statement": {"form": "trueframe-…-1", …}, "key_id": "<32 hex digits>", "signature": "<128 hex digits>"}

The signature covers `trueframe-statement-1`, a zero byte, and the statement as canonical JSON: keys sorted, no spaces,
ASCII. Numbers are whole; a name that stands twice in an object, and any other field beside these three, is refused, so
that two readers cannot see different things in the same file. What does not belong here: what statements say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from media_center.seal import Signer

_PREFIX: Final = b"trueframe-statement-1\0"
MAX_BYTES: Final = 512 << 20
Json = dict[str, Any]


class MalformedStatement(ValueError):
    """Bytes that are not a signed statement."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as it was found. Its signature is not checked yet."""

    body: Json
    key_id: bytes
    signature: bytes
    signed: bytes
    """The bytes that the signature covers."""


def canonical_json(body: Mapping[str, Any]) -> bytes:
    """The one way in which a statement is written for signing."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def sign_statement(body: Mapping[str, Any], signer: Signer, *, indent: int | None = None) -> bytes:
    """A signed statement as a file of JSON, or without `indent` as one line, the line's end included."""
    key_id, signature = signer.sign(lambda _: _PREFIX + canonical_json(body))
    whole = {"statement": body, "key_id": key_id.hex(), "signature": signature.hex()}
    return json.dumps(whole, indent=indent, ensure_ascii=True, allow_nan=False).encode() + b"\n"


def parse_statement(data: bytes, form: str) -> Statement:
    """Takes a statement apart. Raises MalformedStatement unless it is one of that form."""
    if len(data) > MAX_BYTES:
        raise MalformedStatement("larger than any of ours")
    try:
        whole = json.loads(data, object_pairs_hook=_once, parse_float=_no_number, parse_constant=_no_number)
        if not isinstance(whole, dict) or set(whole) != {"statement", "key_id", "signature"}:
            raise MalformedStatement("not a signed statement")
        body, key_id, signature = whole["statement"], bytes.fromhex(whole["key_id"]), bytes.fromhex(whole["signature"])
        signed = _PREFIX + canonical_json(body)
    except (ValueError, TypeError, RecursionError) as error:
        reason = str(error) if isinstance(error, MalformedStatement) else "not a signed statement in JSON"
        raise MalformedStatement(reason) from None
    if not isinstance(body, dict) or body.get("form") != form:
        raise MalformedStatement(f"not of the form {form}")
    if len(key_id) != 16 or len(signature) != 64:
        raise MalformedStatement("key id or signature of a wrong length")
    if (key_id.hex(), signature.hex()) != (whole["key_id"], whole["signature"]):
        raise MalformedStatement("key id or signature in another writing than ours")
    return Statement(body, key_id, signature, signed)


def _once(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedStatement("a name stands twice")
    return found


def _no_number(text: str) -> Any:
    raise MalformedStatement(f"{text[:20]} is no whole number")
