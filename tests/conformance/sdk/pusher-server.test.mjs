// Pusher's own Node server SDK (npm `pusher`) against the gateway's Pusher HTTP API.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { Gateway } from '../gateway.mjs';
import {
  APPS,
  Plain,
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

let gateway;
let api;
before(async () => {
  gateway = await Gateway.start();
  api = server(gateway);
});
afterEach(closeClients);
after(() => gateway.stop());

const json = async promise => (await promise).json();

/** Posts what the SDK itself would refuse to send, signed by the SDK. */
const post = (path, body) => api.post({ path, body });

test('trigger reaches a subscriber and answers an empty object', async () => {
  const channel = await subscribed(await connected(gateway), unique('public'));
  const received = event(channel, 'greeting');
  assert.deepEqual(await json(api.trigger(channel.name, 'greeting', { text: 'ahoy ✓' })), {});
  assert.deepEqual(await received, { text: 'ahoy ✓' });
});

test('both keys of an app publish to the same channels', async () => {
  const channel = await subscribed(await connected(gateway), unique('public'));
  const received = event(channel, 'greeting');
  await server(gateway, APPS.mainSecondKey).trigger(channel.name, 'greeting', 1);
  assert.equal(await received, 1);
});

test('data that is a string arrives byte for byte', async () => {
  const plain = await Plain.open(pusherUrl(gateway));
  const channel = unique('public');
  plain.send(JSON.stringify({ event: 'pusher:subscribe', data: { channel } }));
  await plain.nextEvent('pusher_internal:subscription_succeeded');
  for (const text of ['plain text', '', '{"a" : 1.0e2,"a":2}', '\u0000 "quoted" \\ \u2028 𝄞']) {
    await api.trigger(channel, 'text', text);
    assert.deepEqual(await plain.nextEvent('text'), { event: 'text', channel, data: text });
  }
});

test('one trigger reaches several channels', async () => {
  const pusher = await connected(gateway);
  const channels = [];
  for (const name of [unique('multi'), unique('multi'), unique('private-multi')]) {
    channels.push(await subscribed(pusher, name));
  }
  const received = channels.map(channel => event(channel, 'to-all'));
  await api.trigger(
    channels.map(channel => channel.name),
    'to-all',
    { n: 3 },
  );
  assert.deepEqual(await Promise.all(received), [{ n: 3 }, { n: 3 }, { n: 3 }]);
});

test('one trigger reaches a hundred channels', async () => {
  const names = Array.from({ length: 100 }, () => unique('hundred'));
  const channel = await subscribed(await connected(gateway), names[99]);
  const received = event(channel, 'to-all');
  await api.trigger(names, 'to-all', 'x');
  assert.equal(await received, 'x');
});

test('socket_id keeps the event from its sender alone', async () => {
  const [sender, other] = [await connected(gateway), await connected(gateway)];
  const name = unique('exclude');
  const seenBySender = record(await subscribed(sender, name));
  const seenByOther = record(await subscribed(other, name));
  await api.trigger(name, 'first', 1, { socket_id: sender.connection.socket_id });
  await api.trigger(name, 'second', 2);
  await until(() => seenBySender.length > 0 && seenByOther.length > 1, 'both events');
  assert.deepEqual(seenBySender, [['second', 2]]);
  assert.deepEqual(seenByOther, [
    ['first', 1],
    ['second', 2],
  ]);
});

test('trigger with info answers counts per channel', async () => {
  const presence = unique('presence-info');
  const plain = unique('info');
  for (const id of ['7', '7', '8']) {
    const pusher = await connected(gateway, { member: { user_id: id } });
    await subscribed(pusher, presence);
    await subscribed(pusher, plain);
  }
  const answer = await json(
    api.trigger([presence, plain], 'counted', {}, { info: 'subscription_count,user_count' }),
  );
  assert.equal(answer.channels[presence].user_count, 2);
  assert.equal(answer.channels[plain].subscription_count, 3);
  assert.equal(answer.channels[plain].user_count, undefined);
});

test('a batch arrives in order, to several channels', async () => {
  const pusher = await connected(gateway);
  const seen = [];
  const names = [unique('batch'), unique('batch')];
  for (const name of names) {
    (await subscribed(pusher, name)).bind_global((event, data) => {
      if (!event.startsWith('pusher:')) {
        seen.push([name, event, data]);
      }
    });
  }
  const batch = Array.from({ length: 10 }, (_, n) => ({
    ...{ channel: names[n % 2], name: `event-${n}`, data: { n } },
  }));
  assert.deepEqual(await json(api.triggerBatch(batch)), {});
  await until(() => seen.length === 10, 'ten events');
  for (const name of names) {
    const wanted = batch.filter(({ channel }) => channel === name).map(({ name }) => name);
    assert.deepEqual(
      seen.filter(([channel]) => channel === name).map(([, event]) => event),
      wanted,
    );
  }
});

test('a batch with info answers in the order of the batch', async () => {
  const name = unique('batch');
  await subscribed(await connected(gateway), name);
  const info = 'subscription_count';
  const answer = await json(
    api.triggerBatch([
      { channel: unique('nobody'), name: 'a', data: 1, info },
      { channel: name, name: 'b', data: 2, info },
    ]),
  );
  assert.deepEqual(
    answer.batch.map(entry => entry.subscription_count),
    [0, 1],
  );
});

test('a batch excludes a socket per event', async () => {
  const pusher = await connected(gateway);
  const channel = await subscribed(pusher, unique('batch'));
  const seen = record(channel);
  await api.triggerBatch([
    { channel: channel.name, name: 'hidden', data: 1, socket_id: pusher.connection.socket_id },
    { channel: channel.name, name: 'shown', data: 2 },
  ]);
  await until(() => seen.length > 0, 'an event');
  assert.deepEqual(seen, [['shown', 2]]);
});

test('channels are listed by prefix, with user counts for presence only', async () => {
  const prefix = unique('presence-list');
  const pusher = await connected(gateway, { member: { user_id: '1' } });
  await subscribed(pusher, `${prefix}-a`);
  await subscribed(pusher, `${prefix}-b`);
  await subscribed(pusher, unique('other'));
  const list = params => json(api.get({ path: '/channels', params }));
  const { channels } = await list({ filter_by_prefix: prefix, info: 'user_count' });
  assert.deepEqual(channels, {
    [`${prefix}-a`]: { user_count: 1 },
    [`${prefix}-b`]: { user_count: 1 },
  });
  assert.ok(Object.keys((await list({})).channels).length >= 3);
  assert.deepEqual((await list({ filter_by_prefix: 'no-such' })).channels, {});
  assert.equal(await refusedWith(list({ info: 'user_count' })), 400);
  assert.equal(await refusedWith(list({ filter_by_prefix: 'other', info: 'user_count' })), 400);
});

test('a channel leaves the list with its last subscriber', async () => {
  const pusher = await connected(gateway);
  const name = unique('vacated');
  await subscribed(pusher, name);
  const occupied = async () => (await json(api.get({ path: `/channels/${name}` }))).occupied;
  assert.equal(await occupied(), true);
  pusher.unsubscribe(name);
  await until(async () => !(await occupied()), 'the channel to be vacated');
});

test('a channel tells its counts and its cached value', async () => {
  const presence = unique('presence-one');
  const cache = unique('cache-one');
  for (const id of ['7', '7']) {
    await subscribed(await connected(gateway, { member: { user_id: id } }), presence);
  }
  await subscribed(await connected(gateway), cache);
  await api.trigger(cache, 'price', { eur: 5 });
  const info = async (name, info) => json(api.get({ path: `/channels/${name}`, params: { info } }));
  const counts = await info(presence, 'user_count,subscription_count');
  assert.equal(counts.occupied, true);
  assert.equal(counts.user_count, 1);
  assert.equal(counts.subscription_count, 2);
  const cached = await info(cache, 'subscription_count,cache');
  assert.equal(cached.subscription_count, 1);
  assert.equal(cached.cache.data, '{"eur":5}');
  assert.ok(cached.cache.ttl > 0);
  assert.equal(await refusedWith(info(cache, 'user_count')), 400);
});

test('users of a presence channel are listed once each', async () => {
  const name = unique('presence-users');
  for (const id of ['7', '7', '8']) {
    await subscribed(await connected(gateway, { member: { user_id: id } }), name);
  }
  const { users } = await json(api.get({ path: `/channels/${name}/users` }));
  assert.deepEqual(users.map(user => user.id).sort(), ['7', '8']);
  assert.equal(await refusedWith(api.get({ path: `/channels/${unique('public')}/users` })), 400);
});

test('terminateUserConnections ends every connection of that user with 4009', async () => {
  const user = id => ({ user: { id } });
  const tabs = [await connected(gateway, user('term-1')), await connected(gateway, user('term-1'))];
  const other = await connected(gateway, user('term-2'));
  for (const pusher of [...tabs, other]) {
    pusher.signin();
    await pusher.user.signinDonePromise;
  }
  assert.deepEqual(await json(api.terminateUserConnections('term-1')), {});
  for (const tab of tabs) {
    await state(tab, 'disconnected');
    assert.ok(tab.errors.includes(4009), `4009 among ${tab.errors}`);
  }
  assert.equal(other.connection.state, 'connected');
});

test('sendToUser reaches every tab of the user and nobody else', async () => {
  const seen = [];
  for (const id of ['send-1', 'send-1', 'send-2']) {
    const pusher = await connected(gateway, { user: { id } });
    pusher.user.bind('note', data => seen.push([id, data]));
    pusher.signin();
    await pusher.user.signinDonePromise;
    await until(() => pusher.user.serverToUserChannel?.subscribed, 'the user channel');
  }
  await api.sendToUser('send-1', 'note', { n: 1 });
  await api.sendToUser('send-2', 'note', { n: 2 });
  await until(() => seen.length === 3, 'three notes');
  assert.deepEqual(seen.map(([id, { n }]) => `${id}:${n}`).sort(), [
    'send-1:1',
    'send-1:1',
    'send-2:2',
  ]);
});

test('a wrong secret, an unknown key and the key of another app are refused with 401', async () => {
  for (const app of [
    { ...APPS.main, secret: 'not-the-secret-0123456789' },
    { ...APPS.main, key: 'no-such-key' },
    { ...APPS.main, key: APPS.tiny.key, secret: APPS.tiny.secret },
  ]) {
    assert.equal(await refusedWith(server(gateway, app).trigger('any', 'event', {})), 401);
    assert.equal(await refusedWith(server(gateway, app).get({ path: '/channels' })), 401);
  }
});

test('a request signed more than ten minutes ago, or ahead, is refused with 401', async t => {
  const now = Date.now();
  for (const [offset, wanted] of [
    [-700, 401],
    [700, 401],
    [-500, 'accepted'],
  ]) {
    const clock = t.mock.method(Date, 'now', () => now + offset * 1000);
    const signed = api.get({ path: '/channels', params: {} });
    clock.mock.restore();
    assert.equal(await refusedWith(signed), wanted, `${offset} s`);
  }
});

test('a body or a query changed after signing is refused with 401', async () => {
  const path = `/apps/${APPS.main.appId}/events`;
  const body = JSON.stringify({ name: 'e', channels: ['c'], data: '1' });
  const query = api.createSignedQueryString({ method: 'POST', path, body });
  const send = async (query, body) =>
    (await fetch(`${gateway.http}${path}?${query}`, { method: 'POST', body })).status;
  assert.equal(await send(query, body), 200);
  assert.equal(await send(query, body.replace('"1"', '"2"')), 401);
  assert.equal(await send(`${query}&extra=1`, body), 401);
  assert.equal(
    await send(
      query.replace(/.$/, last => (last === '0' ? '1' : '0')),
      body,
    ),
    401,
  );
  assert.equal(await send('', body), 401);
});

test('parameters are signed unescaped', async () => {
  const prefix = unique('presence-a,b;c=d@e');
  await subscribed(await connected(gateway, { member: { user_id: '1' } }), prefix);
  const path = `/apps/${APPS.main.appId}/channels`;
  const query = new URLSearchParams(
    api.createSignedQueryString({
      ...{ method: 'GET', path, params: { filter_by_prefix: prefix.replace(/=.*/, '') } },
    }),
  );
  // The same request with every value percent-encoded has the same signature.
  const answer = await fetch(`${gateway.http}${path}?${query}`);
  assert.equal(answer.status, 200);
  assert.deepEqual((await answer.json()).channels, { [prefix]: {} });
});

test('an event for an encrypted channel cannot go to another channel too', async () => {
  const body = { name: 'e', data: '{}', channels: [unique('private-encrypted-a'), unique('b')] };
  assert.equal(await refusedWith(post('/events', body)), 400);
});

test('malformed requests are refused with 400 and a plain text reason', async () => {
  const event = { name: 'e', data: 'd', channel: 'c' };
  for (const body of [
    {},
    { ...event, name: undefined },
    { ...event, data: undefined },
    { ...event, data: { not: 'a string' } },
    { ...event, channel: undefined },
    { ...event, channel: undefined, channels: [] },
    { ...event, channel: 'bad name' },
    { ...event, channel: 'bad#name' },
    { ...event, socket_id: 'abc' },
  ]) {
    const error = await post('/events', body).then(
      () => ({ status: 'accepted' }),
      error => error,
    );
    assert.equal(error.status, 400, JSON.stringify(body));
    assert.notEqual(error.body.trim(), '', JSON.stringify(body));
  }
});
