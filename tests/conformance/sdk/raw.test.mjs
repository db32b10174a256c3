// The raw dialect with a WebSocket library and nothing else (npm `ws`), and its meeting with Pusher.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { Gateway } from '../gateway.mjs';
import {
  APPS,
  Plain,
  closeClients,
  connected,
  event,
  rawUrl,
  server,
  signedUrl,
  subscribed,
  unique,
} from './clients.mjs';

// Answered before the upgrade; what the rules refuse is closed with a code after it.
const UNREADABLE = 400;
const UNAUTHORISED = 401;
const SIGN_AGAIN = 4401;

let gateway;
before(async () => {
  gateway = await Gateway.start();
});
afterEach(closeClients);
after(() => gateway.stop());

const open = (query, app = APPS.main) => Plain.open(rawUrl(gateway, app, query));

test('what one client sends, another receives, text as text and binary as binary', async () => {
  const channel = unique('raw');
  const reader = await open([['channel', channel]]);
  const writer = await open([['publish', channel]]);
  for (const message of [
    'ahoy ✓ 𝄞',
    '',
    '{"a" : 1.0e2}',
    Buffer.from([0, 255, 128, 10]),
    Buffer.alloc(0),
  ]) {
    writer.send(message);
    assert.deepEqual(await reader.next(), message);
  }
});

test('one URL subscribes to several channels', async () => {
  const names = [unique('raw'), unique('raw'), unique('raw')];
  const reader = await open(names.map(name => ['channel', name]));
  for (const name of names) {
    (await open([['publish', name]])).send(name);
    assert.equal(await reader.next(), name);
  }
});

test('a client that subscribes to what it publishes hears itself, unless self=0', async () => {
  const channel = unique('raw');
  const both = [
    ['channel', channel],
    ['publish', channel],
  ];
  const [loud, quiet] = [await open(both), await open([...both, ['self', '0']])];
  loud.send('from loud');
  assert.equal(await loud.next(), 'from loud');
  assert.equal(await quiet.next(), 'from loud');
  quiet.send('from quiet');
  assert.equal(await loud.next(), 'from quiet');
  loud.send('fence');
  assert.equal(await quiet.next(), 'fence');
});

test('messages keep their order', async () => {
  const channel = unique('raw');
  const reader = await open([['channel', channel]]);
  const writer = await open([['publish', channel]]);
  const count = 30;
  for (let n = 0; n < count; n += 1) {
    writer.send(String(n));
  }
  for (let n = 0; n < count; n += 1) {
    assert.equal(await reader.next(), String(n));
  }
});

test('publishing without a channel, or where only servers may, ends with 4003', async () => {
  for (const query of [[['channel', unique('raw')]], [['publish', unique('server-raw')]]]) {
    const plain = await open(query);
    plain.send('refused');
    assert.equal(await plain.closeCode(), 4003);
  }
});

test('a presigned URL opens signed channels', async () => {
  const channel = unique('signed-=@,.;:/+x');
  for (const extra of [[], [['user_id', 'ada @ home+1&2=3 ✓']]]) {
    const query = [['channel', channel], ['publish', channel], ...extra];
    const plain = await Plain.open(signedUrl(gateway, APPS.main, query));
    plain.send('inside');
    assert.equal(await plain.next(), 'inside');
  }
});

test('several channels are signed together', async () => {
  const [one, two] = [unique('signed-a'), unique('signed-b')];
  const reader = await Plain.open(
    signedUrl(gateway, APPS.main, [
      ['channel', one],
      ['channel', two],
    ]),
  );
  for (const channel of [one, two]) {
    (await Plain.open(signedUrl(gateway, APPS.main, [['publish', channel]]))).send(channel);
    assert.equal(await reader.next(), channel);
  }
});

test('a signed channel is closed to a URL that is unsigned, altered, foreign or expired', async () => {
  const query = [['channel', unique('signed-closed')]];
  const good = signedUrl(gateway, APPS.main, query);
  const last = good.at(-1) === '0' ? '1' : '0';
  const past = Math.floor(Date.now() / 1000) - 60;
  const foreign = { ...APPS.main, secret: APPS.tiny.secret };
  for (const [what, url, wanted] of [
    ['unsigned', rawUrl(gateway, APPS.main, query), SIGN_AGAIN],
    ['expired', signedUrl(gateway, APPS.main, query, past), SIGN_AGAIN],
    ['another signature', good.slice(0, -1) + last, UNAUTHORISED],
    ['another channel', good.replace('signed-closed', 'signed-others'), UNAUTHORISED],
    ['a parameter more', `${good}&self=0`, UNAUTHORISED],
    ['another secret', signedUrl(gateway, foreign, query), UNAUTHORISED],
    ['the other key', good.replace(APPS.main.key, APPS.mainSecondKey.key), UNAUTHORISED],
  ]) {
    assert.equal(await Plain.refused(url), wanted, what);
  }
  await Plain.open(good);
});

test('a wrong key, a missing key, an unknown app and one without raw have the same answer', async () => {
  for (const url of [
    rawUrl(gateway, { ...APPS.main, key: 'no-such-key' }),
    `${gateway.ws}/a/main/raw`,
    rawUrl(gateway, { ...APPS.main, code: 'no-such-app' }),
    rawUrl(gateway, { ...APPS.main, key: APPS.tiny.key }),
    rawUrl(gateway, APPS.plain, [['channel', 'x']]),
  ]) {
    assert.equal(await Plain.refused(url), UNAUTHORISED, url);
  }
});

test('only channel may repeat', async () => {
  const channel = unique('raw');
  for (const name of ['publish', 'self', 'key']) {
    const url = rawUrl(gateway, APPS.main, [
      [name, channel],
      [name, channel],
    ]);
    assert.equal(await Plain.refused(url), UNREADABLE, name);
  }
});

test('a bad channel name is refused', async () => {
  for (const channel of ['', 'a b', '#x', 'n'.repeat(201)]) {
    const url = rawUrl(gateway, APPS.main, [['channel', channel]]);
    assert.equal(await Plain.refused(url), UNREADABLE, channel);
  }
});

test('raw and Pusher meet in one channel, payloads unchanged', async () => {
  const name = unique('private-meet').replace('private-', '');
  const reader = await open([['channel', name]]);
  const pusher = await subscribed(await connected(gateway), name);
  const text = event(pusher, 'message');
  const writer = await open([['publish', name]]);
  writer.send('not json');
  assert.equal(await text, 'not json');
  assert.equal(await reader.next(), 'not json');

  await server(gateway).trigger(name, 'named', '{"a" : 1.0e2}');
  assert.equal(await reader.next(), '{"a" : 1.0e2}');

  const frame = event(pusher.pusher.connection, 'message');
  writer.send(Buffer.from([0, 255, 128]));
  const { event: kind, data } = await frame;
  assert.equal(kind, 'message');
  assert.deepEqual(Buffer.from(data, 'base64'), Buffer.from([0, 255, 128]));
  assert.deepEqual(await reader.next(), Buffer.from([0, 255, 128]));
});
