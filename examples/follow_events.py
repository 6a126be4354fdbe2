"""Follows the events of a running instance over NATS, each change once, with nats-py and stubs generated from proto/.

    python -m grpc_tools.protoc -Iproto --python_out=stubs --grpc_python_out=stubs proto/trueframe/v1/*.proto
    PYTHONPATH=stubs python examples/follow_events.py DATA_FOLDER POSITIONS_FILE [NUMBER OF CHANGES]

No package of trueframe is needed. DATA_FOLDER is that of `trueframe up`: the URL is in run/run.json, the token in
keys/nats.token. POSITIONS_FILE is this program's own: what it has seen, for eight days, a day longer than the bus keeps
messages. A message may come twice, and an old one after a newer one: what is not newer than what was seen is left out.
Kill it whenever you like, and start it again: it goes on where it was. It ends after the wanted number of changes.
"""

import asyncio
import json
import sqlite3
import sys
import time
from pathlib import Path

import nats
import nats.errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from trueframe.v1 import events_pb2

STREAM, SUBJECT, READER = "TRUEFRAME_EVENTS", "trueframe.event.>", "example-follow-events"
EIGHT_DAYS_S = 8 * 24 * 3600


class Seen:
    """The newest version of each event that was dealt with; on disk, since this program may be killed."""

    def __init__(self, file):
        self.rows = sqlite3.connect(file)
        self.rows.execute("CREATE TABLE IF NOT EXISTS seen (event TEXT PRIMARY KEY, version INTEGER, at_s REAL)")

    def is_news(self, event):
        """Whether this version is newer than what was seen of the event."""
        row = self.rows.execute("SELECT version FROM seen WHERE event = ?", (event.id,)).fetchone()
        return row is None or event.version > row[0]

    def note(self, event):
        """Durable when this returns."""
        with self.rows:
            self.rows.execute("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", (event.id, event.version, time.time()))
            self.rows.execute("DELETE FROM seen WHERE at_s < ?", (time.time() - EIGHT_DAYS_S,))


def describe(kind, event):
    """One line for one change."""
    state = events_pb2.AlarmState.Name(event.alarm_state).removeprefix("ALARM_STATE_").lower()
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(event.started_ns // 1_000_000_000))
    what = kind.removeprefix("trueframe.event.")
    return f"{what} {event.id} version {event.version} {event.camera or '-'} {state} since {began}: {event.summary}"


async def follow(connection, seen, wanted):
    """Reads until `wanted` changes were new."""
    while wanted > 0:
        try:
            # Made if it is not there; the server keeps its position, and forgets it with its storage.
            reader = await connection.jetstream().pull_subscribe(
                SUBJECT, durable=READER, stream=STREAM,
                config=ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, deliver_policy=DeliverPolicy.ALL, ack_wait=30),
            )  # fmt: skip
            while wanted > 0:
                try:
                    messages = await reader.fetch(16, timeout=5)
                except TimeoutError:
                    await reader.consumer_info()  # raises if it is gone
                    continue
                for message in messages:
                    event = events_pb2.Event.FromString(message.data)
                    if wanted > 0 and seen.is_news(event):
                        print(describe(message.headers["ce-type"], event), flush=True)
                        seen.note(event)
                        wanted -= 1
                    # Only now: whoever is killed before gets it again.
                    await message.ack()
        except (NotFoundError, nats.errors.Error, TimeoutError) as error:
            print(f"the bus does not answer ({type(error).__name__}), trying again", file=sys.stderr)
            await asyncio.sleep(1)


async def main():
    """Connects and follows."""
    if len(sys.argv) not in (3, 4):
        sys.exit("two arguments are needed, the data folder and a file of our own: the head of this file shows how")
    data, file, *rest = sys.argv[1:]
    url = json.loads((Path(data) / "run" / "run.json").read_text())["endpoints"]["nats"]
    token = (Path(data) / "keys" / "nats.token").read_text().strip()
    connection = await nats.connect(url, token=token, max_reconnect_attempts=-1)
    try:
        await follow(connection, Seen(file), int(rest[0]) if rest else sys.maxsize)
    finally:
        await connection.close()


if __name__ == "__main__":
    asyncio.run(main())
