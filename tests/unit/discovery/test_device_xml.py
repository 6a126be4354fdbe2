"""XML from devices: read, bounded, and nothing in it believed that could reach further."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.discovery import soap
from broker.discovery.wsd import probe_matches, probe_message
from broker.discovery.xmltree import MAX_BYTES, MalformedXml, escaped, parse_xml
from broker.rtsp.auth import Credentials

BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;">]>
<a>&lol2;</a>"""
THIEF = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
URN, QUESTION = "urn:uuid:1", "urn:uuid:question"


def test_elements_are_found_by_name_whatever_their_prefixes() -> None:
    root = parse_xml(b'<s:E xmlns:s="urn:s"><x:B xmlns:x="urn:x" x:token="t">  v <c/></x:B><B>second</B></s:E>')
    assert root.value("B") == "v"
    assert [element.namespace for element in root.all("B")] == ["urn:x", ""]
    assert root.all("B")[0].attributes == {"token": "t"}
    assert root.find("B", "c") is not None
    assert root.find("B", "missing", "c") is None
    assert root.value("nothing") == ""


@pytest.mark.parametrize("document", [BOMB, THIEF, b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd"><a/>'])
def test_document_types_are_refused_before_anything_of_them_is_done(document: bytes) -> None:
    with pytest.raises(MalformedXml, match="document type"):
        parse_xml(document)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "no well-formed"),
        (b"<a>", "no well-formed"),
        (b"hello", "no well-formed"),
        (b"<a>" * 100 + b"</a>" * 100, "deeper"),
        (b"<a>" + b"<b/>" * 30_000 + b"</a>", "larger"),
        (b"<a " + b" ".join(b'x%d="1"' % n for n in range(100)) + b"/>", "larger"),
        (b"<a>" + b"x" * MAX_BYTES + b"</a>", "longer"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "encoding"),
    ],
)
def test_what_no_device_sends_is_refused(document: bytes, reason: str) -> None:
    with pytest.raises(MalformedXml, match=reason):
        parse_xml(document)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(MalformedXml):
        for element in parse_xml(data).walk():
            assert element.name


@given(st.text(max_size=60))
def test_escaped_text_comes_back_as_it_was_less_what_xml_cannot_hold(text: str) -> None:
    with contextlib.suppress(MalformedXml):  # Printable, and still not allowed in XML: a few lone code points.
        read = parse_xml(f"<a>{escaped(text)}</a>".encode(errors="replace")).text
        assert read.split() == "".join(c for c in text if c.isprintable() or c in "\t\n\r").split()


def test_a_token_proves_the_password_as_the_standard_says() -> None:
    # The worked example of the ONVIF application programmer's guide (6.1.1.3).
    nonce = b"LKqI6G/AikKCQrN0zqZFlg=="
    token = parse_xml(
        soap.envelope(
            "<a/>",
            soap.username_token(Credentials("user", "userpassword"), base64.b64decode(nonce), 1284623445 * 10**9),
        )
    )
    assert token.value("Created") == "2010-09-16T07:50:45Z"
    assert token.value("Nonce") == nonce.decode()
    assert token.value("Password") == "tuOSpGlFlIXsozq4HFNeeGeFLEI="


def test_faults_are_told_from_answers_and_refused_logins_from_other_faults() -> None:
    fault = parse_xml(
        b'<e:Envelope xmlns:e="x"><e:Body><e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode>'
        b"<e:Value>ter:NotAuthorized</e:Value></e:Subcode></e:Code><e:Reason><e:Text>go\n away</e:Text></e:Reason>"
        b"</e:Fault></e:Body></e:Envelope>"
    )
    assert soap.fault_of(fault) == ("e:Sender ter:NotAuthorized", "go away")
    assert soap.is_unauthorised("e:Sender ter:NotAuthorized")
    assert not soap.is_unauthorised("e:Receiver ter:ActionNotSupported")
    assert soap.fault_of(parse_xml(soap.envelope("<ok/>"))) is None


def match(**changes: str) -> bytes:
    told = {
        "relates": QUESTION,
        "urn": URN,
        "types": "dn:NetworkVideoTransmitter",
        "scopes": "onvif://www.onvif.org/name/Hof%20S%C3%BCd onvif://www.onvif.org/hardware/PTZ-9 other://x",
        "addresses": "http://192.168.1.64/onvif/device_service http://10.0.0.7/onvif/device_service",
    } | changes
    return (
        '<s:Envelope xmlns:s="s" xmlns:a="a" xmlns:d="d">'
        f"<s:Header><a:RelatesTo>{told['relates']}</a:RelatesTo></s:Header><s:Body><d:ProbeMatches><d:ProbeMatch>"
        f"<a:EndpointReference><a:Address>{told['urn']}</a:Address></a:EndpointReference><d:Types>{told['types']}"
        f"</d:Types><d:Scopes>{told['scopes']}</d:Scopes><d:XAddrs>{told['addresses']}</d:XAddrs>"
        "</d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"
    ).encode()


def test_a_device_is_read_out_of_its_answer_with_the_address_it_answers_from_first() -> None:
    (device,) = probe_matches(match(), {QUESTION}, "10.0.0.7")
    assert device.urn == URN
    assert device.addresses[0] == "http://10.0.0.7/onvif/device_service"
    assert (device.name, device.hardware, device.location) == ("Hof Süd", "PTZ-9", "")


@pytest.mark.parametrize(
    "changes",
    [
        {"relates": "urn:uuid:somebody-else"},
        {"urn": ""},
        {"types": "wsdp:Printer", "scopes": "ldap:///printers"},
        {"addresses": "file:///etc/passwd"},
        {"addresses": ""},
    ],
)
def test_answers_to_others_printers_and_devices_without_an_address_are_passed_over(changes: dict[str, str]) -> None:
    assert probe_matches(match(**changes), {QUESTION}, "10.0.0.7") == []


def test_the_question_is_read_by_our_own_reader() -> None:
    root = parse_xml(
        probe_message(QUESTION, "dn", "http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter")
    )
    assert root.value("MessageID") == QUESTION
    assert root.value("Types") == "dn:NetworkVideoTransmitter"
