"""Drawing on a picture: soft-edged capsules and convex polygons, shadows, glow and sensor noise.

What belongs here: loops over pixels of an I420 picture, with a depth test against the static background. What does not:
what is drawn and where (`people`, `vehicles`), which is computed in the world and projected.
"""

from libc.math cimport ceil, floor, sqrt
from libc.stdint cimport int8_t, uint8_t

import numpy as np


cdef inline float clamped(float value, float low, float high) noexcept nogil:
    return low if value < low else high if value > high else value


cdef inline uint8_t blended(uint8_t old, float new, float share) noexcept nogil:
    return <uint8_t> clamped(old + (new - old) * share + 0.5, 0, 255)


cdef class Canvas:
    """One picture being drawn: I420 planes, the background's depth in metres and a shadow mask.

    `picture` is uint8, height * 3 / 2 rows; `depth` is float32, height x width. Coordinates are pixels of the luma plane,
    (0, 0) its upper left corner; whatever lies outside is cut off.
    """

    cdef uint8_t[:, ::1] y
    cdef uint8_t[:, ::1] u
    cdef uint8_t[:, ::1] v
    cdef const float[:, ::1] depth
    cdef float[:, ::1] shade
    cdef readonly int width
    cdef readonly int height

    def __init__(self, picture, depth):
        rows, self.width = picture.shape
        self.height = rows * 2 // 3
        if picture.dtype != np.uint8 or self.height * 3 // 2 != rows or depth.shape != (self.height, self.width):
            raise ValueError("a picture is uint8 with height * 3 / 2 rows, depth has its luma plane's shape")
        quarter = self.height // 2 * (self.width // 2)
        chroma = picture[self.height:].reshape(-1)
        self.y = picture[: self.height]
        self.u = chroma[:quarter].reshape(self.height // 2, self.width // 2)
        self.v = chroma[quarter:].reshape(self.height // 2, self.width // 2)
        self.depth = depth
        self.shade = None

    def capsule(self, float ax, float ay, float ar, float bx, float by, float br, tuple colour, float distance,
                float roundness=0.3):
        """A limb: a line from a to b, as thick as the radii say, lit from the upper left. `colour` is Y, U, V."""
        cdef float cy = colour[0], cu = colour[1], cv = colour[2]
        cdef float r = ar if ar > br else br
        cdef int left = <int> floor(min(ax, bx) - r - 1), right = <int> ceil(max(ax, bx) + r + 1)
        cdef int top = <int> floor(min(ay, by) - r - 1), bottom = <int> ceil(max(ay, by) + r + 1)
        cdef int x, y
        cdef float share, light
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right, self.width - 1), min(bottom, self.height - 1)
        with nogil:
            for y in range(top, bottom + 1):
                for x in range(left, right + 1):
                    if self.depth[y, x] < distance - 0.15:
                        continue
                    light = 0
                    share = inside_capsule(x + 0.5, y + 0.5, ax, ay, ar, bx, by, br, &light)
                    if share > 0:
                        self.y[y, x] = blended(self.y[y, x], cy * (1 + roundness * light), share)
            for y in range(top // 2, bottom // 2 + 1):
                for x in range(left // 2, right // 2 + 1):
                    if x >= self.width // 2 or y >= self.height // 2 or self.depth[2 * y, 2 * x] < distance - 0.15:
                        continue
                    share = inside_capsule(2 * x + 1, 2 * y + 1, ax, ay, ar, bx, by, br, &light)
                    if share > 0:
                        self.u[y, x] = blended(self.u[y, x], cu, share)
                        self.v[y, x] = blended(self.v[y, x], cv, share)

    def polygon(self, list points, tuple colour, float distance):
        """A flat convex face with soft edges; corners in either sense."""
        cdef float cy = colour[0], cu = colour[1], cv = colour[2]
        cdef float edges[8][3]
        cdef int count = edges_of(points, edges)
        cdef int left, top, right, bottom, x, y
        cdef float share
        if count == 0:
            return
        left, top, right, bottom = self.bounds(points)
        with nogil:
            for y in range(top, bottom + 1):
                for x in range(left, right + 1):
                    if self.depth[y, x] < distance - 0.15:
                        continue
                    share = inside_polygon(x + 0.5, y + 0.5, edges, count)
                    if share > 0:
                        self.y[y, x] = blended(self.y[y, x], cy, share)
            for y in range(top // 2, bottom // 2 + 1):
                for x in range(left // 2, right // 2 + 1):
                    if x >= self.width // 2 or y >= self.height // 2 or self.depth[2 * y, 2 * x] < distance - 0.15:
                        continue
                    share = inside_polygon(2 * x + 1, 2 * y + 1, edges, count)
                    if share > 0:
                        self.u[y, x] = blended(self.u[y, x], cu, share)
                        self.v[y, x] = blended(self.v[y, x], cv, share)

    cdef tuple bounds(self, list points):
        xs = [p[0] for p in points]
        ys = [p[1] for p in points]
        return (max(<int> floor(min(xs)) - 1, 0), max(<int> floor(min(ys)) - 1, 0),
                min(<int> ceil(max(xs)) + 1, self.width - 1), min(<int> ceil(max(ys)) + 1, self.height - 1))

    def begin_shadow(self, float[:, ::1] mask):
        """Shadows go into this mask (float32, zeroed by the caller) until `end_shadow` lays them on the picture."""
        self.shade = mask

    def shadow_capsule(self, float ax, float ay, float ar, float bx, float by, float br):
        """The shadow of a limb; shadows that overlap do not add up."""
        cdef float r = ar if ar > br else br
        cdef int left = max(<int> floor(min(ax, bx) - r - 1), 0), top = max(<int> floor(min(ay, by) - r - 1), 0)
        cdef int right = min(<int> ceil(max(ax, bx) + r + 1), self.width - 1)
        cdef int bottom = min(<int> ceil(max(ay, by) + r + 1), self.height - 1)
        cdef int x, y
        cdef float share, light = 0
        with nogil:
            for y in range(top, bottom + 1):
                for x in range(left, right + 1):
                    share = inside_capsule(x + 0.5, y + 0.5, ax, ay, ar, bx, by, br, &light)
                    if share > self.shade[y, x]:
                        self.shade[y, x] = share

    def shadow_polygon(self, list points):
        """The shadow of a flat convex face."""
        cdef float edges[8][3]
        cdef int count = edges_of(points, edges)
        cdef int left, top, right, bottom, x, y
        cdef float share
        if count == 0:
            return
        left, top, right, bottom = self.bounds(points)
        with nogil:
            for y in range(top, bottom + 1):
                for x in range(left, right + 1):
                    share = inside_polygon(x + 0.5, y + 0.5, edges, count)
                    if share > self.shade[y, x]:
                        self.shade[y, x] = share

    def end_shadow(self, const float[:, ::1] sunlit, float strength):
        """Darkens what lies in the mask, as far as the sun shines there at all, and clears the mask."""
        cdef int x, y
        with nogil:
            for y in range(self.height):
                for x in range(self.width):
                    if self.shade[y, x] > 0:
                        self.y[y, x] = <uint8_t> (self.y[y, x] * (1 - strength * sunlit[y, x] * self.shade[y, x]))
                        self.shade[y, x] = 0

    def glow(self, float cx, float cy, float rx, float ry, float amount):
        """Light added around a point, fading to nothing at the ellipse's edge."""
        cdef int left = max(<int> floor(cx - rx), 0), right = min(<int> ceil(cx + rx), self.width - 1)
        cdef int top = max(<int> floor(cy - ry), 0), bottom = min(<int> ceil(cy + ry), self.height - 1)
        cdef int x, y
        cdef float far
        if rx < 0.5 or ry < 0.5:
            return
        with nogil:
            for y in range(top, bottom + 1):
                for x in range(left, right + 1):
                    far = ((x + 0.5 - cx) / rx) ** 2 + ((y + 0.5 - cy) / ry) ** 2
                    if far < 1:
                        self.y[y, x] = <uint8_t> clamped(self.y[y, x] + amount * (1 - far) * (1 - far), 0, 255)

    def finish(self, const int8_t[::1] noise, int gain_q8):
        """Exposure (256 is 1.0) and sensor noise for the luma plane; noise has at least as many values as pixels."""
        cdef int x, y, value
        cdef Py_ssize_t at = 0
        if noise.shape[0] < self.height * self.width:
            raise ValueError("too little noise for this picture")
        with nogil:
            for y in range(self.height):
                for x in range(self.width):
                    value = ((self.y[y, x] * gain_q8 + 128) >> 8) + noise[at + x]
                    self.y[y, x] = <uint8_t> (0 if value < 0 else 255 if value > 255 else value)
                at += self.width


cdef inline float inside_capsule(float px, float py, float ax, float ay, float ar, float bx, float by, float br,
                                 float* light) noexcept nogil:
    """How much of the pixel is covered; `light` becomes -1 (away from the light) to 1."""
    cdef float dx = bx - ax, dy = by - ay
    cdef float length2 = dx * dx + dy * dy
    cdef float t = 0 if length2 < 1e-6 else clamped(((px - ax) * dx + (py - ay) * dy) / length2, 0, 1)
    cdef float r = ar + (br - ar) * t
    cdef float ox = px - ax - t * dx, oy = py - ay - t * dy
    cdef float away2 = ox * ox + oy * oy
    if away2 > (r + 0.5) * (r + 0.5):
        return 0
    light[0] = -(0.75 * ox + 0.55 * oy) / (r + 0.3)
    return clamped(r - sqrt(away2) + 0.5, 0, 1)


cdef int edges_of(list points, float[8][3] edges) except -1:
    """Half planes of a convex polygon as (a, b, c): a x + b y + c is the distance to the inside. 0 if it is flat."""
    cdef int count = len(points), i
    cdef float area = 0, ax, ay, bx, by, length, sense
    if not 3 <= count <= 8:
        raise ValueError(f"a polygon of {count} corners: 3 to 8 can be drawn")
    for i in range(count):
        ax, ay = points[i]
        bx, by = points[(i + 1) % count]
        area += ax * by - bx * ay
    if -0.2 < area < 0.2:
        return 0
    sense = 1 if area > 0 else -1
    for i in range(count):
        ax, ay = points[i]
        bx, by = points[(i + 1) % count]
        length = sqrt((bx - ax) ** 2 + (by - ay) ** 2)
        if length < 1e-4:
            edges[i][0], edges[i][1], edges[i][2] = 0, 0, 1e6
            continue
        edges[i][0] = -sense * (by - ay) / length
        edges[i][1] = sense * (bx - ax) / length
        edges[i][2] = -(edges[i][0] * ax + edges[i][1] * ay)
    return count


cdef inline float inside_polygon(float px, float py, float[8][3] edges, int count) noexcept nogil:
    cdef float least = 1e6, distance
    cdef int i
    for i in range(count):
        distance = edges[i][0] * px + edges[i][1] * py + edges[i][2]
        if distance < least:
            least = distance
            if least <= -0.5:
                return 0
    return clamped(least + 0.5, 0, 1)
