// What a client of either SDK sees at each limit: the refusal that the documentation names, and a
// connection that lives on unless the limit is one of connections.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { Gateway } from '../gateway.mjs';
import {
  APPS,
  Plain,
  client,
  closeClients,
  connected,
  event,
  pusherUrl,
  record,
  refusedWith,
  server,
  state,
  subscribed,
  unique,
  until,
} from './clients.mjs';

const KIB = 1024;

let gateway;
let api;
before(async () => {
  gateway = await Gateway.start();
  api = server(gateway);
});
afterEach(closeClients);
after(() => gateway.stop());

const post = (path, body) => api.post({ path, body });
const publish = changes => post('/events', { name: 'e', channels: ['c'], data: 'd', ...changes });
const member = (id, info) => ({ member: { user_id: id, user_info: info } });

/** Subscribes on a plain socket and resolves to the name of the answering event. */
async function answer(plain, data) {
  plain.send(JSON.stringify({ event: 'pusher:subscribe', data }));
  for (;;) {
    const { event } = JSON.parse(await plain.next());
    if (!event.endsWith('subscription_count')) {
      return event;
    }
  }
}

test('event data of 10 KiB is taken, more is 413', async () => {
  const channel = await subscribed(await connected(gateway), unique('size'));
  const received = event(channel, 'full');
  await api.trigger(channel.name, 'full', 'x'.repeat(10 * KIB));
  assert.equal((await received).length, 10 * KIB);
  assert.equal(await refusedWith(api.trigger(channel.name, 'over', 'x'.repeat(10 * KIB + 1))), 413);
  assert.equal(await refusedWith(api.trigger(channel.name, 'over', 'x'.repeat(11 * KIB))), 413);
  const batch = [{ channel: channel.name, name: 'over', data: 'x'.repeat(11 * KIB) }];
  assert.equal(await refusedWith(api.triggerBatch(batch)), 413);
});

test('a channel name of 200 bytes is taken, one of 201 is 400', async () => {
  assert.equal(await refusedWith(publish({ channels: ['n'.repeat(200)] })), 'accepted');
  assert.equal(await refusedWith(publish({ channels: ['n'.repeat(201)] })), 400);
});

test('an event name of 200 characters is taken, one of 201 is 400', async () => {
  assert.equal(await refusedWith(publish({ name: 'n'.repeat(200) })), 'accepted');
  assert.equal(await refusedWith(publish({ name: 'n'.repeat(201) })), 400);
});

test('100 channels are taken, 101 are 400 and reach nobody', async () => {
  const channel = await subscribed(await connected(gateway), unique('hundred'));
  const seen = record(channel);
  const channels = [channel.name, ...Array.from({ length: 99 }, (_, n) => `hundred-${n}`)];
  assert.equal(
    await refusedWith(publish({ name: 'over', channels: [...channels, 'one-more'] })),
    400,
  );
  assert.equal(await refusedWith(publish({ name: 'full', channels })), 'accepted');
  await until(() => seen.length > 0, 'the event');
  assert.deepEqual(seen, [['full', 'd']]);
});

test('a batch of 10 is taken, one of 11 is 400 and reaches nobody', async () => {
  const channel = await subscribed(await connected(gateway), unique('batch'));
  const seen = record(channel);
  const batch = (name, length) =>
    Array.from({ length }, () => ({ channel: channel.name, name, data: 'd' }));
  assert.equal(await refusedWith(api.triggerBatch(batch('over', 11))), 400);
  assert.equal(await refusedWith(api.triggerBatch(batch('full', 10))), 'accepted');
  await until(() => seen.length === 10, 'ten events');
  assert.ok(seen.every(([name]) => name === 'full'));
});

test('a batch with one event too large reaches nobody', async () => {
  const channel = await subscribed(await connected(gateway), unique('batch'));
  const seen = record(channel);
  const event = (name, size) => ({ channel: channel.name, name, data: 'x'.repeat(size) });
  assert.equal(
    await refusedWith(api.triggerBatch([event('good', 1), event('bad', 11 * KIB)])),
    413,
  );
  await api.trigger(channel.name, 'fence', 1);
  await until(() => seen.length > 0, 'the fence');
  assert.deepEqual(seen, [['fence', 1]]);
});

test('one channel too many on a connection is a subscription_error, and leaving one makes room', async () => {
  const pusher = await connected(gateway, { app: APPS.tiny });
  const names = [1, 2, 3].map(() => unique('room'));
  for (const name of names) {
    await subscribed(pusher, name);
  }
  const over = unique('room');
  await event(pusher.subscribe(over), 'pusher:subscription_error');
  assert.equal(pusher.connection.state, 'connected');
  pusher.unsubscribe(names[0]);
  await subscribed(pusher, unique('room'));
});

test('one member too many is a subscription_error, another tab of a member is not', async () => {
  const name = unique('presence-full');
  const join = (id, options) => connected(gateway, { app: APPS.tiny, ...member(id), ...options });
  const first = await join('1');
  await subscribed(first, name);
  const second = await join('2');
  await subscribed(second, name);
  const third = await join('3');
  await event(third.subscribe(name), 'pusher:subscription_error');
  await closeClients();

  await subscribed(await join('1'), name);
  await subscribed(await join('2'), name);
  await subscribed(await join('2'), name);
});

test('one connection too many ends with 4004, and a leaver makes room', async () => {
  const tiny = { app: APPS.tiny };
  const first = await connected(gateway, tiny);
  await connected(gateway, tiny);
  await connected(gateway, tiny);
  const over = client(gateway, tiny);
  await state(over, 'disconnected');
  assert.ok(
    over.errors.some(code => code === 4004 || code === 4100),
    `${over.errors}`,
  );
  first.disconnect();
  await until(async () => {
    const next = client(gateway, tiny);
    await until(() => ['connected', 'disconnected'].includes(next.connection.state), 'an answer');
    return next.connection.state === 'connected';
  }, 'room for one more');
});

test('client events over the rate are refused with 4301, the rest arrive, the connection lives', async () => {
  const name = unique('private-rate');
  const sender = await connected(gateway, { app: APPS.tiny });
  const channel = await subscribed(sender, name);
  const seen = record(await subscribed(await connected(gateway, { app: APPS.tiny }), name));
  // Three a second. Fewer are refused than close a connection for its many errors.
  for (let n = 0; n < 10; n += 1) {
    channel.trigger('client-n', n);
  }
  await until(() => sender.errors.includes(4301), '4301');
  const fence = event(channel, 'fence');
  await server(gateway, APPS.tiny).trigger(name, 'fence', 1);
  await fence;
  await until(() => seen.at(-1)?.[0] === 'fence', 'the fence');
  const arrived = seen.filter(([name]) => name === 'client-n').map(([, n]) => n);
  // A bucket may hold up to two seconds' worth.
  assert.ok(arrived.length >= 3 && arrived.length <= 7, `${arrived.length} of 10 arrived`);
  assert.equal(arrived.length + sender.errors.length, 10);
  assert.equal(sender.connection.state, 'connected');
  assert.ok(
    sender.errors.every(code => code === 4301),
    `${sender.errors}`,
  );
});

test('a client event over the size is refused, and the connection lives', async () => {
  const name = unique('private-size');
  const sender = await connected(gateway);
  const channel = await subscribed(sender, name);
  const seen = record(await subscribed(await connected(gateway), name));
  channel.trigger('client-big', 'x'.repeat(11 * KIB));
  await until(() => sender.errors.length > 0, 'an error');
  channel.trigger('client-small', 'x');
  await until(() => seen.length > 0, 'the small event');
  assert.deepEqual(seen, [['client-small', 'x']]);
});

test('channel names, member ids and member infos have their limits', async () => {
  const plain = await Plain.open(pusherUrl(gateway));
  const { socket_id } = JSON.parse((await plain.nextEvent('pusher:connection_established')).data);
  const join = (channel, user_id, user_info) => ({
    channel,
    ...api.authorizeChannel(socket_id, channel, { user_id, user_info }),
  });
  // A name that no channel can have is not repeated to the client, so its refusal has no channel.
  const names = ['n'.repeat(201), 'bad name', 'bad#name', '#server-to-user-nobody'];
  for (const channel of names) {
    assert.match(await answer(plain, { channel }), /^pusher:(subscription_)?error$/, channel);
  }
  const members = [
    join(unique('presence-id'), 'u'.repeat(129)),
    join(unique('presence-info'), 'u', { text: 'x'.repeat(1100) }),
  ];
  for (const data of members) {
    assert.equal(await answer(plain, data), 'pusher:subscription_error', data.channel);
  }
  const taken = [
    { channel: 'n'.repeat(200) },
    join(unique('presence-id'), 'u'.repeat(128)),
    join(unique('presence-info'), 'u', { text: 'x'.repeat(900) }),
  ];
  for (const data of taken) {
    assert.equal(await answer(plain, data), 'pusher_internal:subscription_succeeded', data.channel);
  }
});

test('messages that make no sense are pusher:error, and the connection lives', async () => {
  for (const text of [
    '',
    'not json',
    '[]',
    '"text"',
    '{}',
    '{"event":7}',
    '{"event":"pusher:subscribe"}',
  ]) {
    const plain = await Plain.open(pusherUrl(gateway));
    plain.send(text);
    const { data } = await plain.nextEvent('pusher:error');
    assert.equal(data.code, null, text);
    plain.send('{"event":"pusher:ping","data":{}}');
    await plain.nextEvent('pusher:pong');
  }
});

test('a message over the frame limit ends the connection with 1009', async () => {
  const plain = await Plain.open(pusherUrl(gateway));
  plain.send(JSON.stringify({ event: 'pusher:ping', data: 'x'.repeat(2048 * KIB) }));
  assert.equal(await plain.closeCode(), 1009);
});
