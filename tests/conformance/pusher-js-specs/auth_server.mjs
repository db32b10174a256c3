// The two servers that pusher-js's specs call for channel signatures and to publish. It has the
// routes of the package's `integration_tests_server` that the WebSocket specs use; that one fixes
// its ports and can only reach the vendor's own clusters.

import express from 'express';
import Pusher from 'pusher';

/** Listens on a free loopback port and resolves to the server. */
export function listen({ appId, key, secret, port }) {
  const vendor = new Pusher({
    appId,
    key,
    secret,
    host: '127.0.0.1',
    port: String(port),
    useTLS: false,
  });
  const app = express();
  app.use(express.urlencoded({ extended: true }));

  app.post('/auth', (request, response) => {
    const { socket_id, channel_name } = request.body;
    response.send(vendor.authorizeChannel(socket_id, channel_name, member(socket_id)));
  });

  app.get('/v2/send/:id', (request, response, next) => {
    const { channel, event, data } = request.query;
    vendor
      .trigger(text(channel), text(event), JSON.parse(text(data)))
      .then(() => response.type('text/javascript').send(''), next);
  });

  return new Promise(resolve => {
    const server = app.listen(0, '127.0.0.1', () => resolve(server));
  });
}

// What the specs expect to find as the member's info.
function member(socketId) {
  return {
    user_id: socketId,
    user_info: { name: `Integration ${socketId}`, email: `integration-${socketId}@example.com` },
  };
}

function text(base64) {
  return Buffer.from(base64, 'base64').toString();
}
