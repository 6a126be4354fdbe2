"""Mutations: of bytes, of lengths and words that the format knows, of packets and their order. Seeded and cheap.

Nothing here knows a target. Every number comes from one generator, so that a seed is a case.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

_EDGES = (0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 191, 192, 223, 224, 240, 254, 255)
_RUNS = (
    b"\0\0\0\1",
    b"\0\0\1",
    b"\0\0\3",
    b"\xff" * 5,
    b"\0" * 9,
    b"\x80" * 10,
    b"\xff\xd8",
    b"\xff\xd9",
    b"$\0\xff\xff",
)
_LARGEST = 6000


class Mutator:
    """Changes inputs. `words` are what the format is made of: they are put in, and swapped for one another."""

    def __init__(self, seed: str, words: Sequence[bytes] = ()) -> None:
        self._generator = Random(seed)
        self.random = self._generator.random
        self._words = tuple(words) or _RUNS

    def below(self, limit: int) -> int:
        """0 to limit - 1."""
        return int(self.random() * limit)

    def pick(self, things: Sequence[bytes]) -> bytes:
        """One of them."""
        return things[int(self.random() * len(things))]

    def options(self, count: int = 8) -> bytes:
        """Bytes for a target's own choices."""
        return self._generator.getrandbits(8 * count).to_bytes(count, "big")

    def changed(self, data: bytes, other: bytes = b"") -> bytes:
        """One to eight changes; `other` may lend a piece."""
        random = self.random
        out = bytearray(data)
        for _ in range((1, 1, 1, 2, 2, 3, 5, 8)[int(random() * 8)]):
            size = len(out)
            at = int(random() * (size + 1))
            action = int(random() * 12)
            if action < 4 and at < size:
                if action == 0:
                    out[at] = int(random() * 256)
                elif action == 1:
                    out[at] ^= 1 << int(random() * 8)
                elif action == 2:
                    out[at] = _EDGES[int(random() * len(_EDGES))]
                else:
                    out[at] = (out[at] + (1, 255, 16, 240)[int(random() * 4)]) & 255
            elif action == 4:
                del out[at : at + 1 + int(random() * (8 if random() < 0.8 else 200))]
            elif action == 5:
                out[at:at] = self._generator.getrandbits(64).to_bytes(8, "big")[: 1 + int(random() * 8)]
            elif action == 6:
                word = self._words[int(random() * len(self._words))]
                out[at : at + (len(word) if random() < 0.5 else 0)] = word
            elif action == 7:
                begin = int(random() * (size + 1))
                out[at:at] = out[begin : begin + int(random() * 64)]
            elif action == 8:
                # Two bytes that may be a length: larger, smaller, all there is.
                if at + 2 <= size:
                    told = out[at] << 8 | out[at + 1]
                    new = (told + 1, told - 1, told * 2, size - at - 2, 0, 0xFFFF)[int(random() * 6)] & 0xFFFF
                    out[at : at + 2] = new.to_bytes(2, "big")
            elif action == 9:
                del out[max(at, 1) :]
            elif action == 10 and other:
                begin = int(random() * len(other))
                out[at : at + int(random() * 32)] = other[begin : begin + int(random() * 200)]
            elif action == 11:
                out[at:at] = _RUNS[int(random() * len(_RUNS))]
        return bytes(out[:_LARGEST])

    def packets(self, packets: Sequence[bytes], others: Sequence[bytes], share: float = 0.35) -> list[bytes]:
        """A stream of RTP packets with faults: lost, doubled, moved, from another stream, or changed inside."""
        random = self.random
        out: list[bytes] = []
        start = int(random() * len(packets)) if random() < 0.3 else 0
        for packet in packets[start : start + 60]:
            if random() > share:
                out.append(packet)
                continue
            action = int(random() * 10)
            if action == 0:
                continue
            if action == 1:
                out += [packet, packet]
            elif action == 2 and out:
                out.insert(max(0, len(out) - 1 - int(random() * 6)), packet)
            elif action == 3:
                stranger = self.pick(others)
                # In its own place in order, or in that of this one.
                out += [stranger if random() < 0.3 else stranger[:2] + packet[2:4] + stranger[4:], packet]
            elif action == 4:
                out.append(self._header(packet))
            else:
                # The header stays, so that what is inside is reached.
                out.append(packet[:12] + self.changed(packet[12:], others[int(random() * len(others))]))
        return out

    def _header(self, packet: bytes) -> bytes:
        """One field of the RTP header is another one."""
        out = bytearray(packet)
        place = int(self.random() * 7)
        if place == 0:
            out[0] = int(self.random() * 256)
        elif place == 1:
            out[1] ^= (0x80, 0x01, 0xFF)[int(self.random() * 3)]
        elif place == 2:
            jump = (1, 2, 63, 64, 65, 128, 129, 0x7FFF, 0x8000, 0xFFFF)[int(self.random() * 10)]
            out[2:4] = ((out[2] << 8 | out[3]) + jump & 0xFFFF).to_bytes(2, "big")
        elif place == 3:
            out[4 + int(self.random() * 4)] = int(self.random() * 256)
        elif place == 4:
            out[8 + int(self.random() * 4)] ^= 1
        elif place == 5:
            out[0] |= 0x20
            out[-1] = _EDGES[int(self.random() * len(_EDGES))]
        else:
            words = int(self.random() * 6)
            told = (words, words + 1, 0xFFFF)[int(self.random() * 3)]
            out[0] |= 0x10
            out[12:12] = b"\xab\xac" + told.to_bytes(2, "big") + bytes(4 * words)
        return bytes(out)

    def case(self, case: Sequence[bytes], others: Sequence[bytes]) -> list[bytes]:
        """Single inputs: new options, and each part behind them changed."""
        return [self.options(), *(self.changed(part, self.pick(others)) for part in case[1:])]
