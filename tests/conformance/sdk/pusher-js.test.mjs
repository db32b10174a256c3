// Pusher's own browser SDK (npm `pusher-js`): what its integration specs do not cover, namely
// tabs of one user, sign-in, cache and encrypted channels, subscription counts, refusals.

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

const member = (id, info = {}) => ({ member: { user_id: id, user_info: info } });

/** A connected client that is signed in as `id`. */
async function signedIn(id, options = {}) {
  const pusher = await connected(gateway, { user: { id, user_info: { name: id } }, ...options });
  pusher.signin();
  await pusher.user.signinDonePromise;
  assert.equal(pusher.user.user_data?.id, id);
  return pusher;
}

test('public, private and presence channels are subscribed on one connection', async () => {
  const pusher = await connected(gateway, member('1'));
  assert.match(pusher.connection.socket_id, /^\d+\.\d+$/);
  for (const prefix of ['public', 'private', 'presence']) {
    assert.ok((await subscribed(pusher, unique(prefix))).subscribed);
  }
});

test('socket ids are not a sequence', async () => {
  const ids = [];
  for (let n = 0; n < 4; n += 1) {
    ids.push((await connected(gateway)).connection.socket_id);
  }
  const gaps = ids
    .slice(1)
    .map((id, n) => Math.abs(Number(id.split('.')[1]) - Number(ids[n].split('.')[1])));
  assert.equal(new Set(ids).size, 4);
  assert.ok(
    gaps.some(gap => gap > 1000),
    `${ids}`,
  );
});

test('several tabs of one user are one member: first in, last out', async () => {
  const name = unique('presence-tabs');
  const watcher = await subscribed(await connected(gateway, member('watcher')), name);
  const seen = [];
  watcher.bind('pusher:member_added', ({ id, info }) => seen.push(['added', id, info]));
  watcher.bind('pusher:member_removed', ({ id }) => seen.push(['removed', id]));

  const tabs = [];
  for (const [id, info] of [
    ['a', { n: 1 }],
    ['a', { n: 1 }],
    ['a', { n: 1 }],
    ['b', { n: 2 }],
  ]) {
    const tab = await connected(gateway, member(id, info));
    tabs.push([tab, await subscribed(tab, name)]);
  }
  await until(() => seen.length === 2, 'two members added');
  assert.deepEqual(seen, [
    ['added', 'a', { n: 1 }],
    ['added', 'b', { n: 2 }],
  ]);
  assert.equal(watcher.members.count, 3);
  const [, last] = tabs[3];
  assert.deepEqual(Object.keys(last.members.members).sort(), ['a', 'b', 'watcher']);
  assert.deepEqual(last.members.me, { id: 'b', info: { n: 2 } });

  // One tab leaves by unsubscribing, one by closing: the user is still there.
  tabs[0][0].unsubscribe(name);
  tabs[1][0].disconnect();
  tabs[3][0].disconnect();
  await until(() => seen.length === 3, 'b to leave');
  assert.deepEqual(seen[2], ['removed', 'b']);
  assert.equal(watcher.members.count, 2);
  tabs[2][0].disconnect();
  await until(() => seen.length === 4, 'the last tab of a to leave');
  assert.deepEqual(seen[3], ['removed', 'a']);
});

test('a member with a number as id is known by the string', async () => {
  const name = unique('presence-number');
  const watcher = await subscribed(await connected(gateway, member('w')), name);
  const added = event(watcher, 'pusher:member_added');
  const channel = await subscribed(await connected(gateway, { member: { user_id: 10 } }), name);
  assert.equal((await added).id, '10');
  assert.ok(channel.members.get('10'));
});

test('a client event reaches the others, with the sender’s user_id on presence, and not its sender', async () => {
  for (const prefix of ['private', 'presence']) {
    const name = unique(`${prefix}-client`);
    const sender = await subscribed(await connected(gateway, member('sender')), name);
    const other = await subscribed(await connected(gateway, member('other')), name);
    const seenBySender = record(sender);
    const received = event(other, 'client-typing');
    assert.ok(sender.trigger('client-typing', { on: true }));
    const wanted = { on: true };
    assert.deepEqual(
      await received,
      prefix === 'presence' ? { data: wanted, metadata: { user_id: 'sender' } } : wanted,
    );
    // What the server publishes next comes after anything echoed.
    await api.trigger(name, 'fence', 1);
    await until(() => seenBySender.length > 0, 'the fence');
    assert.deepEqual(seenBySender, [['fence', 1]]);
  }
});

test('a client event is refused where it is not allowed, and the connection lives', async () => {
  const pusher = await connected(gateway);
  const open = await subscribed(pusher, unique('public'));
  const encrypted = await subscribed(pusher, unique('private-encrypted-x'));
  for (const name of [open.name, encrypted.name, unique('private-not-subscribed')]) {
    const before = pusher.errors.length;
    pusher.send_event('client-x', {}, name);
    await until(() => pusher.errors.length > before, `an error for ${name}`);
  }
  assert.equal(pusher.connection.state, 'connected');
  const plain = await connected(gateway, { app: APPS.plain });
  const channel = await subscribed(plain, unique('private-off'));
  channel.trigger('client-x', {});
  await until(() => plain.errors.length > 0, 'an error where client events are off');
  assert.equal(plain.connection.state, 'connected');
});

test('sign-in binds a user to the connection', async () => {
  const pusher = await signedIn('ada');
  assert.deepEqual(pusher.user.user_data, { id: 'ada', user_info: { name: 'ada' } });
  const note = event(pusher.user, 'note');
  await until(() => pusher.user.serverToUserChannel?.subscribed, 'the user channel');
  await api.sendToUser('ada', 'note', { n: 1 });
  assert.deepEqual(await note, { n: 1 });
});

test('sign-in with a bad signature is refused with 4009', async () => {
  const pusher = await connected(gateway);
  pusher.send_event('pusher:signin', {
    auth: `${APPS.main.key}:${'0'.repeat(64)}`,
    user_data: '{"id":"x"}',
  });
  await until(() => pusher.errors.includes(4009), '4009');
});

test('signing in again as somebody else is refused with 4009', async () => {
  const pusher = await signedIn('one');
  const { auth, user_data } = api.authenticateUser(pusher.connection.socket_id, { id: 'two' });
  pusher.send_event('pusher:signin', { auth, user_data });
  await until(() => pusher.errors.includes(4009), '4009');
});

test('the channel of another user cannot be subscribed', async () => {
  const plain = await Plain.open(pusherUrl(gateway));
  const { socket_id } = JSON.parse((await plain.nextEvent('pusher:connection_established')).data);
  plain.send(
    JSON.stringify({ event: 'pusher:signin', data: api.authenticateUser(socket_id, { id: 'me' }) }),
  );
  await plain.nextEvent('pusher:signin_success');
  for (const [channel, answer] of [
    ['#server-to-user-you', 'pusher:subscription_error'],
    ['#server-to-user-me', 'pusher_internal:subscription_succeeded'],
  ]) {
    plain.send(JSON.stringify({ event: 'pusher:subscribe', data: { channel } }));
    assert.equal((await plain.nextEvent(answer)).channel, channel);
  }
});

test('a signed-in user joins a presence channel without channel_data', async () => {
  const name = unique('presence-signed-in');
  const watcher = await subscribed(await connected(gateway, member('w')), name);
  const added = event(watcher, 'pusher:member_added');
  const channel = await subscribed(await signedIn('grace'), name);
  assert.equal((await added).id, 'grace');
  assert.equal(channel.members.me.id, 'grace');
});

test('a cache channel gives its last server event to a newcomer, else says that it missed', async () => {
  for (const prefix of ['cache', 'private-cache', 'presence-cache']) {
    const name = unique(prefix);
    const first = client(gateway, member('1')).subscribe(name);
    await event(first, 'pusher:cache_miss');
    const live = event(first, 'price');
    await api.trigger(name, 'price', { eur: 1 });
    await live;
    const again = event(first, 'price');
    await api.trigger(name, 'price', { eur: 2 });
    await again;
    const second = client(gateway, member('2')).subscribe(name);
    assert.deepEqual(await event(second, 'price'), { eur: 2 });
  }
});

test('a client event is not cached', async () => {
  const name = unique('private-cache-client');
  const sender = await subscribed(await connected(gateway), name);
  const other = await subscribed(await connected(gateway), name);
  const received = event(other, 'client-x');
  sender.trigger('client-x', {});
  await received;
  await event(client(gateway).subscribe(name), 'pusher:cache_miss');
});

test('the cached event comes after the confirmation and before the live ones', async () => {
  const name = unique('cache-order');
  await api.trigger(name, 'cached', 0);
  const plain = await Plain.open(pusherUrl(gateway));
  plain.send(JSON.stringify({ event: 'pusher:subscribe', data: { channel: name } }));
  await plain.nextEvent('pusher_internal:subscription_succeeded');
  const { event: first } = JSON.parse(await plain.next());
  assert.equal(first, 'cached');
});

test('an encrypted channel is readable at its ends only', async () => {
  for (const prefix of ['private-encrypted-chat', 'private-encrypted-cache-chat']) {
    const channel = await subscribed(await connected(gateway), unique(prefix));
    const frames = [];
    channel.pusher.connection.bind('message', frame => frames.push(frame));
    const received = event(channel, 'secret');
    await api.trigger(channel.name, 'secret', { text: 'ahoy ✓' });
    assert.deepEqual(await received, { text: 'ahoy ✓' });
    const frame = frames.find(frame => frame.event === 'secret');
    assert.deepEqual(Object.keys(frame.data).sort(), ['ciphertext', 'nonce']);
    assert.ok(!JSON.stringify(frame).includes('ahoy'));
  }
});

test('an encrypted cache channel gives its last event to a newcomer', async () => {
  const name = unique('private-encrypted-cache-last');
  await api.trigger(name, 'secret', { n: 7 });
  const channel = client(gateway).subscribe(name);
  assert.deepEqual(await event(channel, 'secret'), { n: 7 });
});

test('subscription counts are told as subscribers come and go, not on presence', async () => {
  const name = unique('counted');
  const channel = client(gateway).subscribe(name);
  const counts = [];
  channel.bind('pusher:subscription_count', ({ subscription_count }) =>
    counts.push(subscription_count),
  );
  await until(() => counts.at(-1) === 1, 'the count 1');
  const other = await connected(gateway);
  await subscribed(other, name);
  await until(() => counts.at(-1) === 2, 'the count 2');
  assert.equal(channel.subscriptionCount, 2);
  other.unsubscribe(name);
  await until(() => counts.at(-1) === 1, 'the count 1 again');

  const presence = await subscribed(
    await connected(gateway, member('1')),
    unique('presence-uncounted'),
  );
  presence.bind('pusher:subscription_count', () => assert.fail('a count on a presence channel'));
  const fence = event(presence, 'fence');
  await subscribed(await connected(gateway, member('2')), presence.name);
  await api.trigger(presence.name, 'fence', 1);
  await fence;
});

test('subscription counts are off unless the app asks for them', async () => {
  const channel = await subscribed(
    await connected(gateway, { app: APPS.plain }),
    unique('uncounted'),
  );
  channel.bind('pusher:subscription_count', () => assert.fail('a count'));
  const fence = event(channel, 'fence');
  await server(gateway, APPS.plain).trigger(channel.name, 'fence', 1);
  await fence;
});

test('a bad signature gives subscription_error on that channel, and the others go on', async () => {
  const forged = { socketId: '1.1' };
  const pusher = await connected(gateway, {
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, callback) => {
        const id = channelName.includes('forged') ? forged.socketId : socketId;
        callback(null, api.authorizeChannel(id, channelName, { user_id: '1' }));
      },
    },
  });
  for (const prefix of ['private-forged', 'presence-forged']) {
    const channel = pusher.subscribe(unique(prefix));
    const error = await event(channel, 'pusher:subscription_error');
    assert.equal(error.type, 'AuthError');
    assert.equal(error.status, 401);
    assert.equal(channel.subscribed, false);
  }
  await subscribed(pusher, unique('presence-good'));
  assert.equal(pusher.connection.state, 'connected');
});

test('a signature made for another channel, member or key is refused', async () => {
  const plain = await Plain.open(pusherUrl(gateway));
  const { socket_id } = JSON.parse((await plain.nextEvent('pusher:connection_established')).data);
  const name = unique('presence-signed');
  const good = api.authorizeChannel(socket_id, name, { user_id: '1' });
  const cases = [
    { ...good, channel_data: '{"user_id":"2"}' },
    { ...good, auth: api.authorizeChannel(socket_id, `${name}x`, { user_id: '1' }).auth },
    {
      ...good,
      auth: server(gateway, APPS.tiny).authorizeChannel(socket_id, name, { user_id: '1' }).auth,
    },
    { ...good, auth: good.auth.toUpperCase() },
    { ...good, auth: good.auth.slice(0, -2) },
    { ...good, auth: '' },
    { ...good, auth: undefined },
  ];
  for (const data of cases) {
    plain.send(JSON.stringify({ event: 'pusher:subscribe', data: { channel: name, ...data } }));
    assert.equal(
      (await plain.nextEvent('pusher:subscription_error')).channel,
      name,
      JSON.stringify(data),
    );
  }
  plain.send(JSON.stringify({ event: 'pusher:subscribe', data: { channel: name, ...good } }));
  await plain.nextEvent('pusher_internal:subscription_succeeded');
});

test('an app’s second key signs for a client that came with the first', async () => {
  const pusher = await connected(gateway, {
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, callback) =>
        callback(null, server(gateway, APPS.mainSecondKey).authorizeChannel(socketId, channelName)),
    },
  });
  await subscribed(pusher, unique('private-rotated'));
});

test('an unknown key ends with 4001 and the SDK does not come back', async () => {
  const pusher = client(gateway, { key: 'no-such-key' });
  await state(pusher, 'disconnected');
  assert.ok(pusher.errors.includes(4001), `${pusher.errors}`);
});

test('an unknown protocol version is refused with 4007, none at all with 4008', async () => {
  const code = query => Plain.refused(pusherUrl(gateway, APPS.main.key, query));
  assert.equal(await code('protocol=4&client=js&version=1.12.0'), 4007);
  assert.equal(await code('protocol=99&client=js&version=8.6.0'), 4007);
  assert.equal(await code('client=js&version=8.6.0'), 4008);
});

test('a ping is answered with a pong', async () => {
  const plain = await Plain.open(pusherUrl(gateway));
  const established = await plain.nextEvent('pusher:connection_established');
  assert.equal(JSON.parse(established.data).activity_timeout, 120);
  plain.send('{"event":"pusher:ping","data":{}}');
  assert.deepEqual(await plain.nextEvent('pusher:pong'), { event: 'pusher:pong', data: '{}' });
});
