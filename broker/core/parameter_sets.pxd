from libc.stdint cimport uint8_t

cdef enum Offered:
    # Too long, or too much of them all.
    REFUSED = 0
    # As it was known, or from a damaged unit that may not change what works.
    UNCHANGED = 1
    NEW = 2
    CHANGED = 3

cdef class ParameterSets:
    # By level, the uppermost first: number → (raw NAL, number of the set it names one level above or -1, facts…).
    cdef tuple kept
    cdef tuple doubtful
    # How many are in doubt.
    cdef readonly int doubts
    cdef int _last
    cdef Py_ssize_t _size
    cdef list _carried
    cdef object _joined

    cdef bint knows(self, int level, int number, const uint8_t* nal, Py_ssize_t size)
    cdef Offered offer(
        self, int level, int number, const uint8_t* nal, Py_ssize_t size, int names, tuple facts, bint damaged
    )
    cdef tuple find(self, int level, int number, bint opens)
    cdef int finish(self, set named, bint sound, bint joins, bint opens)
    cdef void keep_all(self)
    cdef list missing(self, int level, set carried)
    cdef bint complete(self)
    cdef bytes joined(self)
    cdef bint _serves(self, int level, int number, bint opens)
    cdef bint _is_whole(self, tuple tables)
    cdef tuple _all(self)
    cdef void _keep(self, int level, int number)
    cdef void _forget(self, int level, int number)
    cdef void _vouch(self, int level, int number, bint opens)
    cdef void _make_room(self)
