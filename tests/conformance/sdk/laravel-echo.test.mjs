// Laravel's own browser SDK (npm `laravel-echo`), as a Laravel application would point it at Reverb.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import Echo from 'laravel-echo';
import Pusher from 'pusher-js';

import { Gateway } from '../gateway.mjs';
import { APPS, clientOptions, closeClients, onClose, server, unique, until } from './clients.mjs';

let gateway;
let api;
before(async () => {
  gateway = await Gateway.start();
  api = server(gateway);
});
afterEach(closeClients);
after(() => gateway.stop());

/** An Echo of a user that the application would call `id`. */
async function echo(id = '1') {
  const made = new Echo({
    ...clientOptions(gateway, { member: { user_id: id, user_info: { id, name: `user ${id}` } } }),
    broadcaster: 'reverb',
    key: APPS.main.key,
    Pusher,
    withoutInterceptors: true,
  });
  onClose(() => made.disconnect());
  await until(() => made.connectionStatus() === 'connected', 'Echo to connect');
  return made;
}

/** Resolves once the gateway has confirmed the channel. */
const ready = channel =>
  new Promise((resolve, reject) => channel.subscribed(() => resolve(channel)).error(reject));

test('a public channel hears what the application broadcasts', async () => {
  const name = unique('orders');
  const seen = [];
  const channel = await ready((await echo()).channel(name));
  channel.listen('OrderShipped', data => seen.push(['namespaced', data]));
  channel.listen('.order.shipped', data => seen.push(['named', data]));
  await api.trigger(name, 'App\\Events\\OrderShipped', { id: 1 });
  await api.trigger(name, 'order.shipped', { id: 2 });
  await until(() => seen.length === 2, 'two broadcasts');
  assert.deepEqual(seen, [
    ['namespaced', { id: 1 }],
    ['named', { id: 2 }],
  ]);
});

test('a private channel hears broadcasts and notifications, and stops when left', async () => {
  const name = unique('App.Models.User');
  const one = await echo();
  const seen = [];
  const channel = await ready(one.private(name));
  channel.listen('.paid', data => seen.push(data)).notification(data => seen.push(data));
  await api.trigger(`private-${name}`, 'paid', { n: 1 });
  await api.trigger(
    `private-${name}`,
    'Illuminate\\Notifications\\Events\\BroadcastNotificationCreated',
    { n: 2 },
  );
  await until(() => seen.length === 2, 'two broadcasts');
  assert.deepEqual(seen, [{ n: 1 }, { n: 2 }]);
  one.leave(name);
  await until(async () => {
    const answer = await api.get({ path: `/channels/private-${name}` });
    return !(await answer.json()).occupied;
  }, 'the channel to be left');
});

test('broadcast to others leaves out the socket that asked', async () => {
  const name = unique('others');
  const [asker, other] = [await echo('1'), await echo('2')];
  const seen = [];
  for (const [who, one] of [
    ['asker', asker],
    ['other', other],
  ]) {
    (await ready(one.private(name))).listen('.moved', data => seen.push([who, data]));
  }
  await api.trigger(`private-${name}`, 'moved', 1, { socket_id: asker.socketId() });
  await api.trigger(`private-${name}`, 'moved', 2);
  await until(() => seen.length === 3, 'three broadcasts');
  assert.deepEqual(
    seen.filter(([who]) => who === 'asker'),
    [['asker', 2]],
  );
});

test('a presence channel tells who is here, who joins and who leaves', async () => {
  const name = unique('room');
  const seen = [];
  const first = await echo('1');
  first
    .join(name)
    .here(members => seen.push(['here', members.map(member => member.id).sort()]))
    .joining(member => seen.push(['joining', member]))
    .leaving(member => seen.push(['leaving', member]));
  await until(() => seen.length === 1, 'here');

  const second = await echo('2');
  const here = new Promise(resolve => second.join(name).here(resolve));
  assert.deepEqual((await here).map(member => member.name).sort(), ['user 1', 'user 2']);
  await until(() => seen.length === 2, 'joining');
  second.leave(name);
  await until(() => seen.length === 3, 'leaving');
  const other = { id: '2', name: 'user 2' };
  assert.deepEqual(seen, [
    ['here', ['1']],
    ['joining', other],
    ['leaving', other],
  ]);
});

test('a whisper reaches the others and not the whisperer', async () => {
  const name = unique('whisper');
  const seen = [];
  const channels = [];
  for (const id of ['1', '2']) {
    const channel = await ready((await echo(id)).join(name));
    channels.push(channel);
    channel.listenForWhisper('typing', data => seen.push([id, data]));
    channel.listen('.fence', () => seen.push([id, 'fence']));
  }
  channels[0].whisper('typing', { on: true });
  await until(() => seen.length === 1, 'the whisper');
  await api.trigger(`presence-${name}`, 'fence', {});
  await until(() => seen.length === 3, 'the fence');
  assert.deepEqual(
    seen.filter(([id]) => id === '1'),
    [['1', 'fence']],
  );
  assert.deepEqual(
    seen.find(([id]) => id === '2'),
    ['2', { on: true }],
  );
});

test('an encrypted private channel is decrypted', async () => {
  const name = unique('vault');
  const channel = await ready((await echo()).encryptedPrivate(name));
  const opened = new Promise(resolve => channel.listen('.opened', resolve));
  await api.trigger(`private-encrypted-${name}`, 'opened', { by: 'ada' });
  assert.deepEqual(await opened, { by: 'ada' });
});
