"""Where the gateway under test is, and how a test waits for a frame."""

import json
import os

from websockets.sync.client import connect

PORT = int(os.environ["WHARF_PORT"])
KEY = "main-key-one"
SECRET = "main-secret-one-0123456789"
APP_ID = "10"
CODE = "main"
DEADLINE = 5


class Client:
    """One Pusher client over a plain WebSocket: the SDK on trial here is the server's."""

    def __init__(self):
        url = f"ws://127.0.0.1:{PORT}/app/{KEY}?protocol=7&client=python&version=1.0"
        self.connection = connect(url)

    def __enter__(self):
        self.socket = self.connection.__enter__()
        self.socket_id = json.loads(self.next("pusher:connection_established")["data"])["socket_id"]
        return self

    def __exit__(self, *reason):
        self.connection.__exit__(*reason)

    def send(self, event, **data):
        self.socket.send(json.dumps({"event": event, "data": data}))

    def next(self, event):
        """The next frame of that event, others passed over; a TimeoutError if none comes."""
        while True:
            frame = json.loads(self.socket.recv(timeout=DEADLINE))
            if frame["event"] == event:
                return frame

    def subscribe(self, channel, **auth):
        self.send("pusher:subscribe", channel=channel, **auth)
        return self.next("pusher_internal:subscription_succeeded")
