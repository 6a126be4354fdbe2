"""What an access unit says of itself, whatever its codec, and what follows from damage.

What belongs here: the inspectors' common answer, and the tracker that carries damage from frame to frame. What does
not: reading bitstreams (`h264`, `h265`, `jpeg`).
"""

cimport cython
from libc.stdint cimport int64_t

JOIN_NONE = 1
JOIN_EXACT = 2
JOIN_RECOVERS_AFTER = 3


@cython.freelist(8)
cdef class UnitInfo:
    """What one access unit says of itself.

    `join_point` and `recovers_after` as in the proto; `recovers_surely`: what `recovers_after` says follows from the
    standard, it is not only the encoder's promise; `has_vps`, `has_sps`, `has_pps`: carried inside this unit (JPEG:
    `has_sps` with a frame header); `starts_picture`: its first slice is there; `decodable`: the sets its slices name
    are known; `width`, `height`: of the active SPS after cropping, in pixels, 0 while unknown; `malformed`: some of it
    could not be read; `parameter_sets_changed`: it replaced sets that were known before by different ones; `nals`: how
    many NALs, or JPEG segments, it has; 0 says that it is no unit at all.
    """

    def __repr__(self):
        return (
            f"UnitInfo(join_point={self.join_point}, recovers_after={self.recovers_after}, has_sps={self.has_sps}, "
            f"has_pps={self.has_pps}, starts_picture={self.starts_picture}, decodable={self.decodable}, "
            f"width={self.width}, height={self.height}, malformed={self.malformed}, "
            f"parameter_sets_changed={self.parameter_sets_changed}, nals={self.nals})"
        )


cdef class DamageTracker:
    """Tells which intact frames of an epoch follow damage: all until the next undamaged EXACT join point.

    `joined`: False while decoding has not begun: frames before the first join point cannot be decoded exactly either,
    and a first RECOVERS_AFTER counts down. Damage later is healed by EXACT, or by a RECOVERS_AFTER that the standard
    vouches for (a CRA picture), once the frames it counts have come without damage. An encoder's promise heals nothing:
    some break it.
    """

    cdef bint _dirty
    cdef bint _joined
    cdef int64_t _countdown
    cdef int64_t _healing

    def __cinit__(self, bint joined=False):
        self._dirty = False
        self._joined = joined
        self._countdown = -1
        self._healing = -1

    def lost(self):
        """Something before the next frame is missing (a gap, a refused unit)."""
        self._dirty = True
        self._healing = -1

    def observe(self, bint damaged, int join_point, int recovers_after=0, bint recovers_surely=False):
        """Takes the next frame; returns its `follows_damage`, which is False for a frame that is damaged itself."""
        if damaged:
            self._dirty = True
            self._healing = -1
            return False
        if join_point == 2:
            self._dirty = False
            self._joined = True
            self._countdown = -1
            self._healing = -1
            return False
        if self._dirty:
            if self._healing < 0 and join_point == 3 and recovers_surely:
                self._healing = recovers_after
            if self._healing < 0:
                return True
            if self._healing > 0:
                self._healing -= 1
                return True
            self._healing = -1
            self._dirty = False
            self._joined = True
            return False
        if self._joined:
            return False
        if self._countdown < 0 and join_point == 3:
            self._countdown = recovers_after
        if self._countdown == 0:
            self._joined = True
            return False
        if self._countdown > 0:
            self._countdown -= 1
        return True
