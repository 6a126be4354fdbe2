"""nats-server with the configuration that the supervisor writes."""

import asyncio
import sys
from pathlib import Path

import nats

from mesh.files import read_secret
from mesh.process import child_environment
from tests.support import auntil
from trueframe.children import Child
from trueframe.nats import answers_as_nats, nats_token, write_nats_config
from trueframe.plan import nats_spec
from trueframe.preflight import find_nats_server, free_port


async def test_it_serves_jetstream_to_whoever_has_the_token_and_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    folder = tmp_path / 'with "quotes" and ümlaut'
    folder.mkdir()
    port, token = free_port(), nats_token(tmp_path / "nats.token")
    assert nats_token(tmp_path / "nats.token") == token == read_secret(tmp_path / "nats.token")
    write_nats_config(tmp_path / "nats.conf", port, folder, token)
    assert (tmp_path / "nats.conf").stat().st_mode & 0o077 == 0
    spec = nats_spec(find_nats_server(), tmp_path / "nats.conf", port, child_environment())
    assert sys.executable in spec.command
    for run in range(2):
        kept = Child(spec, tmp_path / "nats.log", lambda level, text: None)
        kept.start()
        try:
            await kept.wait_ready()
            client = await nats.connect(f"nats://127.0.0.1:{port}", token=token)
            stream = client.jetstream()
            if run == 0:
                await stream.add_stream(name="T", subjects=["t.>"])
                await stream.publish("t.one", b"kept")
            else:
                assert (await stream.get_last_msg("T", "t.one")).data == b"kept"
                assert b"Authorization Violation" in await answer_to(port, "wrong")
            await client.close()
        finally:
            await kept.stop()
    assert any((folder / "jetstream").rglob("*"))
    await auntil(lambda: answers_no_more(port))


async def answer_to(port: int, token: str) -> bytes:
    """What the server says to a client with this token. (nats-py leaves its socket open when it is turned away.)"""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await reader.readline()
        writer.write(b'CONNECT {"verbose":false,"auth_token":"%s"}\r\nPING\r\n' % token.encode())
        return await asyncio.wait_for(reader.readline(), 5)
    finally:
        writer.close()
        await writer.wait_closed()


async def answers_no_more(port: int) -> bool:
    return not await answers_as_nats(port)
