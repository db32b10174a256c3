// What SIGTERM looks like to clients: each dialect's word for "go elsewhere", after which the SDK
// comes back by itself, subscriptions and all.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { Gateway } from '../gateway.mjs';
import {
  APPS,
  Plain,
  closeClients,
  connected,
  event,
  rawUrl,
  server,
  state,
  subscribed,
  unique,
  until,
} from './clients.mjs';

const RESTART_MS = 30_000;

afterEach(closeClients);

test('pusher-js is told 4200 and comes back to the next gateway with its channels', async () => {
  const first = await Gateway.start();
  const pusher = await connected(first, { member: { user_id: '1' } });
  const channel = await subscribed(pusher, unique('presence-restart'));
  const socketId = pusher.connection.socket_id;
  await first.stop();
  await until(() => pusher.errors.includes(4200), '4200', RESTART_MS);

  const second = await Gateway.start({ port: first.port });
  try {
    await state(pusher, 'connected', RESTART_MS);
    assert.notEqual(pusher.connection.socket_id, socketId);
    await until(() => channel.subscribed, 'the channel to be subscribed again');
    const received = event(channel, 'after');
    await server(second).trigger(channel.name, 'after', { n: 1 });
    assert.deepEqual(await received, { n: 1 });
    await closeClients();
  } finally {
    await second.stop();
  }
});

test('a raw client is closed with 1012', async () => {
  const gateway = await Gateway.start();
  const plain = await Plain.open(rawUrl(gateway, APPS.main, [['channel', unique('restart')]]));
  await gateway.stop();
  assert.equal(await plain.closeCode(), 1012);
});

test('a gateway without clients leaves at once', async () => {
  const gateway = await Gateway.start();
  const started = Date.now();
  await gateway.stop();
  assert.ok(Date.now() - started < 2000, `${Date.now() - started} ms`);
});
