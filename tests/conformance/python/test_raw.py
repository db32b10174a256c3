"""The raw dialect with a WebSocket library and nothing else (PyPI `websockets`)."""

import hashlib
import hmac
import itertools
import time
import unittest
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from support import CODE, DEADLINE, KEY, PORT, SECRET

names = itertools.count()


def unique(prefix):
    return f"{prefix}-raw-python-{next(names)}"


def url(*query):
    return f"ws://127.0.0.1:{PORT}/a/{CODE}/raw?{urlencode([('key', KEY), *query])}"


def signed_url(*query, lifetime=60):
    query = [*query, ("expires", str(int(time.time()) + lifetime))]
    signed = "&".join(f"{name}={value}" for name, value in sorted([("key", KEY), *query]))
    message = f"raw\n{CODE}\n{signed}"
    signature = hmac.new(SECRET.encode(), message.encode(), hashlib.sha256).hexdigest()
    return url(*query, ("signature", signature))


class Raw(unittest.TestCase):
    def test_text_and_binary_arrive_as_they_were_sent(self):
        channel = unique("raw")
        with connect(url(("channel", channel))) as reader, connect(url(("publish", channel))) as writer:
            for message in ("ahoy ✓ 𝄞", "", b"\x00\xff\x80", b""):
                writer.send(message)
                self.assertEqual(reader.recv(timeout=DEADLINE), message)

    def test_self_0_leaves_the_sender_out(self):
        channel = unique("raw")
        both = (("channel", channel), ("publish", channel))
        with connect(url(*both)) as loud, connect(url(*both, ("self", "0"))) as quiet:
            quiet.send("from quiet")
            self.assertEqual(loud.recv(timeout=DEADLINE), "from quiet")
            loud.send("from loud")
            self.assertEqual(loud.recv(timeout=DEADLINE), "from loud")
            self.assertEqual(quiet.recv(timeout=DEADLINE), "from loud")

    def test_a_refused_publication_ends_with_4003(self):
        with connect(url(("publish", unique("server-only")))) as writer:
            writer.send("refused")
            with self.assertRaises(ConnectionClosed) as closed:
                writer.recv(timeout=DEADLINE)
            self.assertEqual(closed.exception.rcvd.code, 4003)

    def test_a_presigned_url_opens_a_signed_channel(self):
        channel = unique("signed")
        query = (("channel", channel), ("publish", channel), ("user_id", "ada & co=1 ✓"))
        with connect(signed_url(*query)) as client:
            client.send("inside")
            self.assertEqual(client.recv(timeout=DEADLINE), "inside")

    def test_a_signed_channel_is_closed_to_others(self):
        channel = ("channel", unique("signed"))
        for address in (url(channel), signed_url(channel, lifetime=-60), signed_url(channel)[:-1] + "x"):
            with self.assertRaises((InvalidStatus, ConnectionClosed)):
                with connect(address) as client:
                    client.recv(timeout=DEADLINE)
