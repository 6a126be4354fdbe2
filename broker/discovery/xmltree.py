"""XML from devices, read into a small tree: bounded, and without anything that can name another file or grow.

Belongs here: the reader and how its tree is searched. Does not belong here: what elements mean (`soap`, `onvif`).

A document type declaration is refused before anything of it is believed, so that there are no entities to expand, and
no external ones to fetch; depth, number of elements and size have limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

MAX_BYTES = 1 << 20
_MAX_DEPTH = 64
_MAX_ELEMENTS = 20_000
_MAX_ATTRIBUTES = 64


class MalformedXml(ValueError):
    """Not XML that is read here; the text says why."""


@dataclass(slots=True)
class Element:
    """One element. Names have no namespace: devices disagree about prefixes and versions, and never about names."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    children: list[Element] = field(default_factory=list)
    namespace: str = ""

    def walk(self) -> Iterator[Element]:
        """This element and all below, in the order of the document."""
        pending = [self]
        while pending:
            element = pending.pop()
            yield element
            pending.extend(reversed(element.children))

    def all(self, name: str) -> list[Element]:
        """All elements of that name, at any depth."""
        return [element for element in self.walk() if element.name == name]

    def find(self, *path: str) -> Element | None:
        """The first element of the last name, below the first of the name before it, and so on, at any depth."""
        found: Element | None = self
        for name in path:
            if found is None:
                return None
            found = next((element for element in found.walk() if element.name == name and element is not found), None)
        return found

    def value(self, *path: str) -> str:
        """The text of `find`, without white space around it; empty if there is none."""
        found = self.find(*path)
        return found.text.strip() if found is not None else ""


def parse_xml(data: bytes) -> Element:
    """Reads a document. Raises MalformedXml."""
    if len(data) > MAX_BYTES:
        raise MalformedXml(f"is longer than {MAX_BYTES >> 20} MiB")
    parser = expat.ParserCreate(namespace_separator=" ")
    reader = _Reader()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise MalformedXml(f"is no well-formed XML ({error})") from None
    except (LookupError, ValueError) as error:  # An encoding that expat or Python does not know.
        raise MalformedXml(str(error)) from None
    if reader.root is None:
        raise MalformedXml("is empty")
    return reader.root


class _Reader:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._elements = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > _MAX_ELEMENTS or len(self._open) >= _MAX_DEPTH or len(attributes) > _MAX_ATTRIBUTES:
            raise MalformedXml("is larger or deeper than any device's answer")
        namespace, _, name = tag.rpartition(" ")
        element = Element(name, {key.rpartition(" ")[2]: value for key, value in attributes.items()}, "", [], namespace)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, tag: str) -> None:
        self._open.pop()

    def text(self, data: str) -> None:
        self._open[-1].text += data

    def refuse(self, *_: object) -> None:
        raise MalformedXml("declares a document type, which is refused")


def escaped(text: str) -> str:
    """Text as it may stand between tags."""
    return escape("".join(c for c in text if c.isprintable() or c in "\t\n\r"))


def quoted(text: str) -> str:
    """Text as an attribute's value, with its quotes."""
    return quoteattr("".join(c for c in text if c.isprintable()))
