// The vendors' clients, pointed at a gateway under test, and the few ways a test waits for them.
// Every wait has a deadline and says what it waited for; nothing here sleeps and hopes.

import { createHmac } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import PusherServer from 'pusher';
import PusherClient from 'pusher-js';
import WebSocket from 'ws';

const DEADLINE_MS = 5000;
const MASTER_KEY = Buffer.alloc(32, 'wharf').toString('base64');

/** The apps of apps.toml. */
export const APPS = {
  main: { code: 'main', appId: '10', key: 'main-key-one', secret: 'main-secret-one-0123456789' },
  mainSecondKey: {
    code: 'main',
    appId: '10',
    key: 'main-key-two',
    secret: 'main-secret-two-0123456789',
  },
  tiny: { code: 'tiny', appId: '11', key: 'tiny-key', secret: 'tiny-secret-0123456789' },
  plain: { code: 'plain', appId: '12', key: 'plain-key', secret: 'plain-secret-0123456789' },
};

let opened = [];

// Every socket that pusher-js makes, however it came to reconnect.
const sockets = new Set();
const { createWebSocket } = PusherClient.Runtime;
PusherClient.Runtime.createWebSocket = function (url) {
  const socket = createWebSocket.call(this, url);
  sockets.add(socket);
  return socket;
};

/** Closes every client that a test opened; give it to `afterEach`. */
export async function closeClients() {
  const clients = opened;
  opened = [];
  await Promise.all(clients.map(close => close()));
  for (const socket of sockets) {
    await until(() => socket.readyState === WebSocket.CLOSED, 'pusher-js to close').catch(() => {});
    // A socket closed from both sides keeps a timer of 30 s, which would hold up the whole process.
    clearTimeout(socket._closeTimer);
  }
  sockets.clear();
}

/** Has `close` called by `closeClients`. */
export function onClose(close) {
  opened.push(close);
}

/** The vendor's server SDK (npm `pusher`). */
export function server(gateway, app = APPS.main, options = {}) {
  const { appId, key, secret } = app;
  return new PusherServer({
    ...{ appId, key, secret, host: '127.0.0.1', port: String(gateway.port), useTLS: false },
    ...{ timeout: DEADLINE_MS, encryptionMasterKeyBase64: MASTER_KEY, ...options },
  });
}

/**
 * Options for the vendor's browser SDK (npm `pusher-js`). `user` signs it in; `member` is what the
 * app's own authorisation endpoint would say about the user of a presence channel.
 */
export function clientOptions(gateway, { app = APPS.main, user, member, ...rest } = {}) {
  const signer = server(gateway, app);
  const answer = (callback, sign) => {
    try {
      callback(null, sign());
    } catch (error) {
      callback(error, null);
    }
  };
  return {
    cluster: 'local',
    wsHost: '127.0.0.1',
    wsPort: gateway.port,
    forceTLS: false,
    enabledTransports: ['ws'],
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, callback) =>
        answer(callback, () => {
          const data = channelName.startsWith('presence-') ? member : undefined;
          return signer.authorizeChannel(socketId, channelName, data);
        }),
    },
    userAuthentication: {
      customHandler: ({ socketId }, callback) =>
        answer(callback, () => signer.authenticateUser(socketId, user)),
    },
    ...rest,
  };
}

/** A pusher-js client that may still be connecting, or be refused. */
export function client(gateway, { app = APPS.main, ...options } = {}) {
  const pusher = new PusherClient(
    options.key ?? app.key,
    clientOptions(gateway, { app, ...options }),
  );
  pusher.errors = [];
  pusher.connection.bind('error', error => pusher.errors.push(errorCode(error)));
  onClose(() => pusher.disconnect());
  return pusher;
}

/** A pusher-js client that is connected. */
export async function connected(gateway, options) {
  const pusher = client(gateway, options);
  await state(pusher, 'connected');
  return pusher;
}

export async function state(pusher, wanted, ms = DEADLINE_MS) {
  await until(
    () => pusher.connection.state === wanted,
    `state ${wanted}`,
    ms,
    () => pusher.connection.state,
  );
}

/** Subscribes and resolves to the channel once the gateway has confirmed it. */
export async function subscribed(pusher, name) {
  const channel = pusher.subscribe(name);
  const refused = new Promise((_, reject) => {
    channel.bind('pusher:subscription_error', error =>
      reject(new Error(`${name} was refused: ${JSON.stringify(error)}`)),
    );
  });
  // Only the race may report it; later it would count as unhandled.
  refused.catch(() => {});
  await Promise.race([event(channel, 'pusher:subscription_succeeded'), refused]);
  return channel;
}

/** Resolves to the next `name` event of a channel, user or connection, with its metadata. */
export function event(emitter, name, ms = DEADLINE_MS) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${name} within ${ms} ms`)), ms);
    const handler = (data, metadata) => {
      clearTimeout(timer);
      emitter.unbind(name, handler);
      resolve(metadata?.user_id === undefined ? data : { data, metadata });
    };
    emitter.bind(name, handler);
  });
}

/** Everything a channel receives from now on, as `[event, data]`; the SDK's own events left out. */
export function record(channel) {
  const seen = [];
  channel.bind_global((name, data) => {
    if (!name.startsWith('pusher')) {
      seen.push([name, data]);
    }
  });
  return seen;
}

export async function until(condition, what, ms = DEADLINE_MS, detail = () => '') {
  const deadline = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > deadline) {
      throw new Error(`waited ${ms} ms for ${what} ${detail()}`);
    }
    await sleep(10);
  }
}

/** The code in an error of pusher-js, which nests it once more while it is still connecting. */
export function errorCode(error) {
  return error?.data?.code ?? error?.error?.data?.code;
}

/** The HTTP status with which the server SDK's call was refused. */
export async function refusedWith(promise) {
  try {
    await promise;
  } catch (error) {
    return error.status;
  }
  return 'accepted';
}

/** The address of the raw dialect; `query` is a list of pairs, since `channel` may repeat. */
export function rawUrl(gateway, app, query = []) {
  return `${gateway.ws}/a/${app.code}/raw?${new URLSearchParams([['key', app.key], ...query])}`;
}

/** The same, presigned as docs/protocols/raw.md says. */
export function signedUrl(gateway, app, query, expires = Math.floor(Date.now() / 1000) + 60) {
  const pairs = [['key', app.key], ...query, ['expires', String(expires)]];
  const sorted = pairs
    .map(([name, value]) => `${name}=${value}`)
    .sort(byName)
    .join('&');
  const signature = createHmac('sha256', app.secret)
    .update(`raw\n${app.code}\n${sorted}`)
    .digest('hex');
  return rawUrl(gateway, app, [...pairs.slice(1), ['signature', signature]]);
}

/** A plain WebSocket (npm `ws`). `next()` resolves to each message as a string or a Buffer. */
export class Plain {
  constructor(url, options = {}) {
    this.socket = new WebSocket(url, options);
    this.messages = [];
    this.socket.on('message', (data, binary) =>
      this.messages.push(binary ? data : data.toString()),
    );
    this.socket.on('error', () => {});
    this.socket.on('unexpected-response', (_, response) => {
      this.status = response.statusCode;
      response.destroy();
      this.socket.terminate();
    });
    this.socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
    });
    onClose(async () => {
      this.socket.close();
      await until(() => this.closed, 'the socket to close').catch(() => this.socket.terminate());
    });
  }

  /** Resolves when the socket is open. */
  static async open(url, options) {
    const plain = new Plain(url, options);
    await until(
      () => plain.socket.readyState === WebSocket.OPEN || plain.closed,
      'the socket to open',
    );
    if (plain.closed) {
      throw new Error(`refused with HTTP ${plain.status}, close ${plain.closed.code}`);
    }
    return plain;
  }

  /** Resolves to the HTTP status of a refused handshake, or the code with which it was closed. */
  static async refused(url, options) {
    const plain = new Plain(url, options);
    await until(() => plain.closed, 'the socket to be refused');
    return plain.status ?? plain.closed.code;
  }

  send(data) {
    this.socket.send(data);
  }

  async next() {
    await until(
      () => this.messages.length > 0,
      'a message',
      DEADLINE_MS,
      () => (this.closed ? `(closed ${this.closed.code} ${this.closed.reason})` : ''),
    );
    return this.messages.shift();
  }

  /** The next Pusher event called `name`, others passed over. */
  async nextEvent(name) {
    for (;;) {
      const frame = JSON.parse(await this.next());
      if (frame.event === name) {
        return frame;
      }
    }
  }

  async closeCode() {
    await until(() => this.closed, 'the close');
    return this.closed.code;
  }
}

/** A plain WebSocket on the Pusher dialect, for what no SDK would send. */
export function pusherUrl(
  gateway,
  key = APPS.main.key,
  query = 'protocol=7&client=js&version=8.6.0',
) {
  return `${gateway.ws}/app/${key}?${query}`;
}

/** A channel name that no other test uses. */
export function unique(prefix) {
  unique.count = (unique.count ?? 0) + 1;
  return `${prefix}-${process.pid}-${unique.count}`;
}

function byName(a, b) {
  const [left, right] = [a, b].map(pair => pair.slice(0, pair.indexOf('=')));
  return left < right ? -1 : left > right ? 1 : 0;
}
