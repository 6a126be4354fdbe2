"""Text from cameras: RTSP, SDP, challenges, HTTP bodies, ONVIF's XML, and the sources that people write."""

from __future__ import annotations

import contextlib
import re

from broker.discovery import onvif, soap, wsd
from broker.discovery.xmltree import MalformedXml, parse_xml
from broker.errors import SourceFailure
from broker.rtsp.auth import Authenticator, Credentials, parse_challenges
from broker.rtsp.messages import MAX_HEADERS, MalformedMessage, Request, Response, parse_message, session_of
from broker.rtsp.offer import choose
from broker.rtsp.sdp import MalformedDescription, control_urls, parse_sdp
from broker.rtsp.transports import agreed
from broker.sources.http_body import ChunkedBody, JpegParts, MalformedHttp, parse_head
from broker.sources.notation import parse_source
from mesh.errors import InvalidArgument
from tests.fuzz.cases import Case
from tests.fuzz.mutate import Mutator
from tests.fuzz.target import OneByOne, option, pieces

# What stands between tags, and in quotes behind a name that is no namespace.
_TEXT = re.compile(rb"((?<=>)[^<]+(?=<)|(?<=token=\")[^\"<>]+(?=\"))")
_NO_MARKUP = bytes.maketrans(b'<>&"\0\1\2\3\x0b', b"()+'     ")
_URL = "rtsp://10.0.0.7:554/stream?channel=1"


class Rtsp(OneByOne):
    """Messages are read or MalformedMessage, and so are the headers that matter."""

    name, share = "rtsp", 2.5
    refusals = (MalformedMessage,)
    words = (
        b"RTSP/1.0 200 OK\r\n", b"CSeq: 1\r\n", b"Session: x;timeout=", b"Transport: RTP/AVP", b"interleaved=0-1",
        b"\r\n ", b"\r\n\r\n", b";server_port=", b"-", b"source=[::1]", b"\xc3", b":", b"65536", b"\0",
        b"timeout=" + b"9" * 30,
    )  # fmt: skip

    def check_one(self, data: bytes, options: bytes) -> None:
        message = parse_message(data)
        assert isinstance(message, Response | Request)
        assert len(message.headers.pairs) <= MAX_HEADERS
        assert message.cseq is None or message.cseq >= 0
        for _, value in message.headers:
            session, timeout_s = session_of(value)
            assert timeout_s > 0
            assert ";" not in session
            way = agreed(value)
            assert way.channels is None or all(0 <= channel <= 255 for channel in way.channels)
            assert way.server_ports is None or all(0 < port <= 65535 for port in way.server_ports)


class Sdp(OneByOne):
    """Descriptions are read or MalformedDescription; a stream is chosen or refused; URLs stay on the camera's host."""

    name, share = "sdp", 2.5
    refusals = (MalformedDescription,)
    words = (
        b"v=0\r\n", b"m=video 0 RTP/AVP 96\r\n", b"a=control:", b"a=rtpmap:96 ", b"a=fmtp:96 ", b"H264/90000",
        b"rtsp://[", b"sprop-vps=", b"sprop-parameter-sets=", b"://", b"*", b"/0", b"a=rtpmap:26 JPEG/", b"?",
        b"m=video 0 RTP/SAVP 96",
    )  # fmt: skip

    def check_one(self, data: bytes, options: bytes) -> None:
        description = parse_sdp(data)
        for media in description.media:
            assert 0 <= media.payload_type < 1000
            assert media.clock_rate > 0
            assert len(media.parameter_sets) <= 32
            for url in control_urls("rtsp://10.0.0.7/", _URL, description.control, media, False):
                assert url.startswith("rtsp://10.0.0.7:554"), url
        with contextlib.suppress(SourceFailure):
            assert isinstance(choose("camera", description).parameter_sets, bytes)


class Challenges(OneByOne):
    """Any challenge ends, and is answered or not; nothing but the answer holds the password."""

    name, share = "challenge", 1.5
    words = (
        b"Digest ", b"Basic ", b'nonce="', b"realm=", b"qop=auth", b"algorithm=", b"SHA-256", b'\\"', b",", b"=",
        b" ",
    )  # fmt: skip

    def check_one(self, data: bytes, options: bytes) -> None:
        text = data.decode("utf-8", "replace")
        challenges = parse_challenges(text)
        assert len(challenges) <= len(text)
        authenticator = Authenticator(Credentials("user", "hidden-password"), lambda: "0a")
        if authenticator.accept([text]):
            header = authenticator.header("DESCRIBE", _URL)
            assert header is None or header.startswith(("Basic ", "Digest "))
            assert "hidden-password" not in f"{header} {authenticator!r}"
            authenticator.accepted(text)
            authenticator.header("PLAY", _URL)
            authenticator.accept([text])


class Multipart(OneByOne):
    """An HTTP answer gives JPEGs that begin as one, none of them invented, and holds a bounded rest."""

    name, share = "multipart", 2
    words = (
        b"--frame\r\n", b"\r\n--frame", b"Content-Length: ", b"Content-Type: image/jpeg\r\n\r\n", b"\xff\xd8\xff",
        b"\xff\xd9", b"\r\n\r\n", b"\xff\xda\0\x0c", b"Content-Length: 99999999999\r\n", b"\xff\xe0\xff\xff",
        b"boundary=", b"HTTP/1.1 200 OK\r\n",
    )  # fmt: skip

    def check_one(self, data: bytes, options: bytes) -> None:
        try:
            parsed = parse_head(data)
        except MalformedHttp:
            return
        if parsed is None:
            return
        head, body = parsed
        limit = (1 << 20, 3000, 700)[option(options, 7) % 3]
        parts = JpegParts(head.boundary, limit)
        given = 0
        for piece in pieces(body, options, 1500):
            for found in parts.feed(piece):
                given += len(found)
                assert found.startswith(b"\xff\xd8")
                assert len(found) <= limit + 1500
            assert len(parts._data) <= limit + 16_384
        assert given <= len(body)


class Chunks(OneByOne):
    """A chunked body gives the same however it is cut."""

    name, share = "chunked", 2
    words = (b"\r\n", b"0\r\n", b"ffffffffffffffffff", b"-1\r\n", b";", b"+5\r\n", b"0x1\r\n", b"_", b"1_0\r\n")

    def check_one(self, data: bytes, options: bytes) -> None:
        results = []
        for cut in ([data], pieces(data, options, 12)):
            body = ChunkedBody()
            out = b""
            try:
                for piece in cut:
                    out += body.feed(piece)
            except MalformedHttp:
                results.append((b"", True))
                continue
            results.append((out, body.has_ended))
            assert len(out) <= len(data)
        assert results[0] == results[1]


class Xml(OneByOne):
    """What devices answer is read or MalformedXml, and makes devices whose texts can be shown."""

    name, share = "xml", 1.5
    refusals = (MalformedXml,)
    words = (
        b"<!DOCTYPE x [", b"<!ENTITY a 'b'>", b"&a;", b"&#0;", b"&#x10FFFF;", b"<a>", b"</a>", b"]]>", b"<![CDATA[",
        b"<s:Envelope>", b"d:XAddrs", b"http://[::1", b"onvif://www.onvif.org/name/%00",
        b"<?xml version='1.0' encoding='utf-16'?>", b"urn:uuid:1", b"encoding='x'", b"<a" + b" b='1'" * 70 + b">",
        b"999999999999", b"\xff\xfe",
    )  # fmt: skip

    def mutated(self, mutator: Mutator) -> Case:
        """Mostly other texts in elements that are well formed."""
        case = super().mutated(mutator)
        for at in range(1, len(case)):
            if mutator.random() < 0.7:
                texts = _TEXT.split(self.parts[mutator.below(len(self.parts))])
                for _ in range(1 + mutator.below(4)):
                    # Every other piece is a text.
                    place = 2 * mutator.below(len(texts) // 2) + 1
                    text = mutator.changed(texts[place]).translate(_NO_MARKUP)
                    texts[place] = text.decode("utf-8", "ignore").encode() if mutator.random() < 0.8 else text
                case[at] = b"".join(texts)
        return case

    def check_one(self, data: bytes, options: bytes) -> None:
        root = parse_xml(data)
        fault = soap.fault_of(root)
        assert fault is None or len(fault[1]) <= 200
        onvif._utc_ns(root)
        onvif._number(root, "Width")
        for device in wsd.probe_matches(data, {"urn:uuid:1"}, "10.0.0.7"):
            assert all(text.isprintable() for text in (device.urn, device.name, device.hardware, device.location))
            assert 0 < len(device.addresses) <= 8


class Source(OneByOne):
    """What people write as a source is understood or InvalidArgument, which shows no password."""

    name, share = "source", 1.5
    refusals = (InvalidArgument,)
    words = (
        b"rtsp://", b"@", b":", b"[", b"]", b"//", b"?loop=1", b"%", b"file://", b"https://", b"65536", b"\n", b" ",
        b"\xc3\xa9",
    )  # fmt: skip

    def check_one(self, data: bytes, options: bytes) -> None:
        assert parse_source(data.decode("utf-8", "replace")) is not None
