"""Pusher's Python server SDK (PyPI `pusher`) against the gateway's Pusher HTTP API."""

import base64
import itertools
import json
import time
import unittest
from unittest import mock

import pusher
from websockets.exceptions import ConnectionClosed

from support import APP_ID, KEY, PORT, SECRET, Client

MASTER_KEY = base64.b64encode(b"wharf" * 6 + b"wh").decode()
names = itertools.count()


def api(**changes):
    options = {
        "app_id": APP_ID,
        "key": KEY,
        "secret": SECRET,
        "ssl": False,
        "host": "127.0.0.1",
        "port": PORT,
        "encryption_master_key_base64": MASTER_KEY,
    }
    return pusher.Pusher(**{**options, **changes})


def unique(prefix):
    return f"{prefix}-python-{next(names)}"


class Trigger(unittest.TestCase):
    def test_an_object_arrives_as_json(self):
        with Client() as client:
            channel = unique("public")
            client.subscribe(channel)
            data = {"text": "ahoy ✓ 𝄞", "n": [1, 2.5, None]}
            self.assertEqual(api().trigger(channel, "greeting", data), {})
            self.assertEqual(json.loads(client.next("greeting")["data"]), data)

    def test_a_string_arrives_unchanged(self):
        with Client() as client:
            channel = unique("public")
            client.subscribe(channel)
            for text in ["plain", "", '{"a" : 1.0e2}', 'line\n"quoted" \\ \u2028']:
                api().trigger(channel, "text", text)
                self.assertEqual(client.next("text")["data"], text)

    def test_several_channels_and_one_excluded_socket(self):
        with Client() as sender, Client() as other:
            channels = [unique("multi"), unique("multi")]
            for client in (sender, other):
                for channel in channels:
                    client.subscribe(channel)
            api().trigger(channels, "moved", {"n": 1}, socket_id=sender.socket_id)
            api().trigger(channels[0], "moved", {"n": 2})
            seen = {other.next("moved")["channel"] for _ in channels}
            self.assertEqual(seen, set(channels))
            self.assertEqual(json.loads(sender.next("moved")["data"]), {"n": 2})

    def test_a_batch_arrives_in_order(self):
        with Client() as client:
            channel = unique("batch")
            client.subscribe(channel)
            batch = [{"channel": channel, "name": "step", "data": {"n": n}} for n in range(10)]
            self.assertEqual(api().trigger_batch(batch), {})
            steps = [json.loads(client.next("step")["data"])["n"] for _ in batch]
            self.assertEqual(steps, list(range(10)))

    def test_an_encrypted_event_leaves_the_gateway_as_it_came(self):
        with Client() as client:
            channel = unique("private-encrypted")
            auth = api().authenticate(channel, client.socket_id)
            client.subscribe(channel, auth=auth["auth"])
            api().trigger(channel, "secret", {"text": "ahoy"})
            data = json.loads(client.next("secret")["data"])
            self.assertEqual(set(data), {"nonce", "ciphertext"})

    def test_a_user_is_reached_on_every_connection(self):
        with Client() as one, Client() as two:
            for client in (one, two):
                sign_in(client, "python-user")
                client.subscribe("#server-to-user-python-user")
            api().send_to_user("python-user", "note", {"n": 1})
            for client in (one, two):
                self.assertEqual(json.loads(client.next("note")["data"]), {"n": 1})


class Query(unittest.TestCase):
    def test_channels_by_prefix_with_their_users(self):
        prefix = unique("presence-query")
        with Client() as one, Client() as two, Client() as three:
            for client, user in ((one, "7"), (two, "7"), (three, "8")):
                join(client, prefix, user)
            channels = api().channels_info(prefix, ["user_count"])["channels"]
            self.assertEqual(channels, {prefix: {"user_count": 2}})
            info = api().channel_info(prefix, ["user_count", "subscription_count"])
            self.assertEqual(info, {"occupied": True, "user_count": 2, "subscription_count": 3})
            users = api().users_info(prefix)["users"]
            self.assertEqual(sorted(user["id"] for user in users), ["7", "8"])

    def test_a_channel_that_nobody_listens_to(self):
        self.assertFalse(api().channel_info(unique("nobody"))["occupied"])
        self.assertEqual(api().channels_info(unique("nobody"))["channels"], {})

    def test_what_presence_alone_has_is_refused_elsewhere(self):
        with self.assertRaises(pusher.errors.PusherBadRequest):
            api().users_info(unique("public"))
        with self.assertRaises(pusher.errors.PusherBadRequest):
            api().channel_info(unique("public"), ["user_count"])
        with self.assertRaises(pusher.errors.PusherBadRequest):
            api().channels_info(unique("public"), ["user_count"])


class Terminate(unittest.TestCase):
    # This SDK leaves the app out of the path, unlike Pusher's others; the key says which app it is.
    def test_a_users_connections_end_with_4009(self):
        with Client() as gone, Client() as stays:
            sign_in(gone, "python-gone")
            sign_in(stays, "python-stays")
            self.assertEqual(api().terminate_user_connections("python-gone"), {})
            with self.assertRaises(ConnectionClosed) as closed:
                while True:
                    gone.next("nothing")
            self.assertEqual(closed.exception.rcvd.code, 4009)
            stays.send("pusher:ping")
            stays.next("pusher:pong")


class Signatures(unittest.TestCase):
    def test_a_wrong_secret_or_key_is_refused(self):
        for changes in ({"secret": "not-the-secret-0123456789"}, {"key": "no-such-key"}):
            for call in (
                lambda client: client.trigger("any", "event", {}),
                lambda client: client.channels_info(),
            ):
                with self.assertRaises(pusher.errors.PusherBadAuth):
                    call(api(**changes))

    def test_the_key_of_another_app_is_refused(self):
        with self.assertRaises(pusher.errors.PusherBadAuth):
            api(key="tiny-key", secret="tiny-secret-0123456789").trigger("any", "event", {})

    def test_an_old_request_is_refused(self):
        with mock.patch("time.time", return_value=time.time() - 700):
            with self.assertRaises(pusher.errors.PusherBadAuth):
                api().trigger("any", "event", {})

    def test_a_wrong_channel_signature_is_refused(self):
        with Client() as client:
            channel = unique("private-forged")
            auth = api(secret="not-the-secret-0123456789").authenticate(channel, client.socket_id)
            client.send("pusher:subscribe", channel=channel, **auth)
            self.assertEqual(client.next("pusher:subscription_error")["channel"], channel)
            good = api().authenticate(channel, client.socket_id)
            client.subscribe(channel, **good)

    def test_a_presence_signature_covers_the_member(self):
        with Client() as client:
            channel = unique("presence-forged")
            auth = api().authenticate(channel, client.socket_id, {"user_id": "1"})
            forged = {**auth, "channel_data": '{"user_id": "2"}'}
            client.send("pusher:subscribe", channel=channel, **forged)
            self.assertEqual(client.next("pusher:subscription_error")["channel"], channel)
            frame = client.subscribe(channel, **auth)
            self.assertEqual(json.loads(frame["data"])["presence"]["ids"], ["1"])

    def test_a_wrong_sign_in_is_refused(self):
        with Client() as client:
            auth = api(secret="not-the-secret-0123456789").authenticate_user(
                client.socket_id, {"id": "python-forged"}
            )
            client.send("pusher:signin", **auth)
            self.assertEqual(client.next("pusher:error")["data"]["code"], 4009)


def sign_in(client, user):
    client.send("pusher:signin", **api().authenticate_user(client.socket_id, {"id": user}))
    client.next("pusher:signin_success")


def join(client, channel, user):
    client.subscribe(channel, **api().authenticate(channel, client.socket_id, {"user_id": user}))
