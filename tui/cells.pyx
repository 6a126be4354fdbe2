"""Pictures to terminal cells: half blocks, two pixels a cell; whole rows as ready ANSI, or just the cells that changed.

What should not be in this module: Textual, layout, what is drawn around a picture.
"""

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cdef enum:
    # "\x1b[38;2;255;255;255;48;2;255;255;255m" and three bytes of block, rounded up.
    LONGEST_CELL = 48
    # Moving the cursor over unchanged cells costs about as much as repainting so many.
    NARROWEST_GAP = 3

cdef char DIGITS[256][3]
cdef int DIGIT_COUNT[256]
cdef unsigned char CUBE[256]


cdef void _fill_tables() noexcept:
    cdef int value
    for value in range(256):
        if value >= 100:
            DIGITS[value][0] = 48 + value // 100
            DIGITS[value][1] = 48 + value // 10 % 10
            DIGITS[value][2] = 48 + value % 10
            DIGIT_COUNT[value] = 3
        elif value >= 10:
            DIGITS[value][0] = 48 + value // 10
            DIGITS[value][1] = 48 + value % 10
            DIGIT_COUNT[value] = 2
        else:
            DIGITS[value][0] = 48 + value
            DIGIT_COUNT[value] = 1
        # Nearest of the xterm levels 0, 95, 135, 175, 215, 255.
        CUBE[value] = 0 if value < 48 else (1 if value < 115 else (value - 35) // 40)


_fill_tables()


cdef inline char* _number(char* out, int value) noexcept nogil:
    cdef int index
    for index in range(DIGIT_COUNT[value]):
        out[index] = DIGITS[value][index]
    return out + DIGIT_COUNT[value]


cdef inline int _index_256(const unsigned char* colour) noexcept nogil:
    """The xterm palette entry nearest to a colour: the grey ramp for greys, the cube for the rest."""
    cdef int red = colour[0], green = colour[1], blue = colour[2]
    cdef int low = min(red, min(green, blue)), high = max(red, max(green, blue))
    if high - low < 12:
        if high < 4:
            return 16
        if low > 246:
            return 231
        return 232 + min(23, max(0, ((red + green + blue) // 3 - 3) // 10))
    return 16 + 36 * CUBE[red] + 6 * CUBE[green] + CUBE[blue]


cdef inline char* _colour(char* out, int ground, const unsigned char* colour, bint true_colour) noexcept nogil:
    """Writes "38;2;R;G;B" or "38;5;N"; `ground` is 3 (front) or 4 (back)."""
    out[0] = 48 + ground
    out[1] = 56
    out[2] = 59
    if true_colour:
        out[3] = 50
        out[4] = 59
        out = _number(out + 5, colour[0])
        out[0] = 59
        out = _number(out + 1, colour[1])
        out[0] = 59
        return _number(out + 1, colour[2])
    out[3] = 53
    out[4] = 59
    return _number(out + 5, _index_256(colour))


cdef inline bint _same(const unsigned char* a, const unsigned char* b) noexcept nogil:
    return a[0] == b[0] and a[1] == b[1] and a[2] == b[2]


cdef inline bint _near(const unsigned char* a, const unsigned char* b, int tolerance) noexcept nogil:
    return abs(a[0] - b[0]) <= tolerance and abs(a[1] - b[1]) <= tolerance and abs(a[2] - b[2]) <= tolerance


cdef class PictureCells:
    """The picture part of one tile: `columns` x `rows` cells, each showing two pixels.

    Keeps what is on the screen: a pixel whose new colour lies within `tolerance` of the shown one stays as it is
    (sensor noise would repaint the wall for ever). Rows are encoded when they are asked for.
    """

    cdef readonly int columns
    cdef readonly int rows
    cdef readonly bint true_colour
    cdef unsigned char* _shown
    cdef unsigned char* _changed
    cdef char* _line
    cdef list _ansi
    cdef unsigned char _ground[3]

    def __cinit__(self, int columns, int rows, bint true_colour=True, tuple ground=(0, 0, 0)):
        if not (0 < columns <= 4096 and 0 < rows <= 4096):
            raise ValueError("columns and rows are 1 to 4096")
        self.columns = columns
        self.rows = rows
        self.true_colour = true_colour
        self._ground[0], self._ground[1], self._ground[2] = ground
        self._shown = <unsigned char*> malloc(<size_t> columns * rows * 6)
        self._changed = <unsigned char*> malloc(<size_t> columns * rows)
        self._line = <char*> malloc(<size_t> columns * LONGEST_CELL + 16)
        if self._shown == NULL or self._line == NULL or self._changed == NULL:
            raise MemoryError()
        memset(self._changed, 0, <size_t> columns * rows)
        self._ansi = [None] * rows
        cdef size_t pixel
        for pixel in range(<size_t> columns * rows * 2):
            memcpy(self._shown + pixel * 3, self._ground, 3)

    def __dealloc__(self):
        free(self._shown)
        free(self._changed)
        free(self._line)

    def update(self, const unsigned char[::1] rgb not None, int width, int height, int tolerance=0, bint dim=False):
        """Shows a picture, centred, the ground colour around it; returns the rows that changed.

        `rgb`: rows from the top, three bytes a pixel. What does not fit is cut off at the right and below. `dim`
        shows it in dark grey. Raises ValueError if the buffer does not have the size it should.
        """
        if width < 0 or height < 0 or rgb.shape[0] != <Py_ssize_t> width * height * 3:
            raise ValueError(f"a picture of {width} x {height} has {width * height * 3} bytes, not {rgb.shape[0]}")
        cdef int left = max(0, (self.columns - width) // 2)
        cdef int top = max(0, (self.rows * 2 - height) // 2)
        cdef int row, column, half, x, y, grey
        cdef unsigned char wanted[3]
        cdef unsigned char* shown
        cdef const unsigned char* pixels = &rgb[0] if rgb.shape[0] else NULL
        cdef const unsigned char* pixel
        cdef bint changed
        dirty = []
        memset(self._changed, 0, <size_t> self.columns * self.rows)
        for row in range(self.rows):
            changed = False
            for half in range(2):
                y = row * 2 + half - top
                for column in range(self.columns):
                    x = column - left
                    shown = self._shown + ((<size_t> row * self.columns + column) * 2 + half) * 3
                    if 0 <= x < width and 0 <= y < height:
                        pixel = pixels + (<size_t> y * width + x) * 3
                        if dim:
                            grey = (pixel[0] * 77 + pixel[1] * 151 + pixel[2] * 28) >> 9
                            wanted[0] = wanted[1] = wanted[2] = <unsigned char> grey
                        else:
                            memcpy(wanted, pixel, 3)
                        if _near(wanted, shown, tolerance):
                            continue
                    else:
                        memcpy(wanted, self._ground, 3)
                        if _same(wanted, shown):
                            continue
                    memcpy(shown, wanted, 3)
                    self._changed[<size_t> row * self.columns + column] = 1
                    changed = True
            if changed:
                self._ansi[row] = None
                dirty.append(row)
        return dirty

    def ansi(self, int row):
        """The row as text that a terminal understands; ends in the neutral style. Raises IndexError."""
        if not 0 <= row < self.rows:
            raise IndexError(row)
        if self._ansi[row] is None:
            self._ansi[row] = self._encode(row, 0, self.columns)
        return self._ansi[row]

    def patch(self, int row, int line, int column):
        """ANSI that repaints what the last `update` changed in a row, for a terminal that shows the row as it was.

        `line`, `column`: where the row's first cell stands on the screen, from 0. Raises IndexError.
        """
        if not 0 <= row < self.rows:
            raise IndexError(row)
        cdef const unsigned char* changed = self._changed + <size_t> row * self.columns
        cdef int start = 0, end, unchanged
        pieces = []
        while start < self.columns:
            if not changed[start]:
                start += 1
                continue
            end = start + 1
            unchanged = 0
            while end < self.columns and unchanged < NARROWEST_GAP:
                unchanged = 0 if changed[end] else unchanged + 1
                end += 1
            end -= unchanged
            pieces.append(f"\x1b[{line + 1};{column + start + 1}H{self._encode(row, start, end)}")
            start = end
        return "".join(pieces)

    def colours(self, int row):
        """What the row shows: for each cell six bytes, R G B of the upper pixel, then of the lower. Raises IndexError."""
        if not 0 <= row < self.rows:
            raise IndexError(row)
        return (<char*> self._shown)[row * self.columns * 6:(row + 1) * self.columns * 6]

    cdef str _encode(self, int row, int start, int end):
        cdef char* out = self._line
        cdef const unsigned char* cell = self._shown + (<size_t> row * self.columns + start) * 6
        cdef unsigned char front[3]
        cdef unsigned char back[3]
        cdef bint front_known = False, back_known = False, needs_front, needs_back
        cdef int column
        for column in range(start, end):
            needs_back = not back_known or not _same(back, cell + 3)
            needs_front = not _same(cell, cell + 3) and (not front_known or not _same(front, cell))
            if needs_front or needs_back:
                out[0] = 27
                out[1] = 91
                out += 2
                if needs_front:
                    out = _colour(out, 3, cell, self.true_colour)
                    memcpy(front, cell, 3)
                    front_known = True
                if needs_back:
                    if needs_front:
                        out[0] = 59
                        out += 1
                    out = _colour(out, 4, cell + 3, self.true_colour)
                    memcpy(back, cell + 3, 3)
                    back_known = True
                out[0] = 109
                out += 1
            if _same(cell, cell + 3):
                out[0] = 32
                out += 1
            else:
                # U+2580, the upper half block.
                out[0] = <char> 0xE2
                out[1] = <char> 0x96
                out[2] = <char> 0x80
                out += 3
            cell += 6
        memcpy(out, b"\x1b[0m", 4)
        out += 4
        return (<bytes> self._line[:out - self._line]).decode("utf-8")
