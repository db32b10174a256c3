// docs/api.md: each command answers with the status, type and shape that the page shows, and does
// what it says.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Page } from './page.mjs';
import { need } from './program.mjs';

const page = new Page('docs/api.md');
const START = page.take('sh', 'The commands below work beside a running `wharf dev`');
const PUBLISH = command('`POST /v1/apps/{app}/publish`');
const BATCH = command('`POST /v1/apps/{app}/batch`');
const BROADCAST = page.take('sh', '`POST /v1/apps/{app}/broadcast`');
const ONCE = page.take('sh', 'With an `Idempotency-Key` header');
const LOOK = page.take('sh', '## Look');
const DISCONNECT = command('`POST /v1/apps/{app}/disconnect`');
const ERROR = command('`application/problem+json` (RFC 9457)');

const JSON_TYPE = 'application/json';
// curl ends each answer with it because a `.curlrc` says so: the commands stay as they are.
const SEPARATOR = /\n--- (\d{3}) (\S*)\n/;

export const API = [
  page.complete,
  ['publish', publish],
  ['batch', batch],
  ['broadcast', broadcast],
  ['once only', once],
  ['look', look],
  ['disconnect', disconnect],
  ['errors', error],
];

/** A command and the answer that the page shows below it. */
function command(lead) {
  return { code: page.take('sh', lead), answer: JSON.parse(page.take('json', lead)) };
}

async function publish(place) {
  const client = await place.listener('lobby');
  const [answer] = await run(place, PUBLISH.code);
  assertAnswer(answer, 200, JSON_TYPE, PUBLISH.answer);
  assert.deepEqual(JSON.parse(await client.next()), { hello: 'world' });
}

async function batch(place) {
  const client = await place.listener('lobby');
  const [answer] = await run(place, BATCH.code);
  assertAnswer(answer, 207, JSON_TYPE, BATCH.answer);
  assert.equal(await client.next(), '1');
}

async function broadcast(place) {
  const clients = [await place.listener('lobby'), await place.listener('news')];
  const [answer] = await run(place, BROADCAST);
  // "Answered as a batch is."
  const [accepted] = BATCH.answer.results;
  const results = ['lobby', 'news'].map(channel => ({ ...accepted, channel }));
  assertAnswer(answer, 200, JSON_TYPE, { results });
  for (const client of clients) {
    assert.equal(await client.next(), 'hello');
  }
}

async function once(place) {
  const client = await place.listener('lobby');
  const [first, second] = await run(place, ONCE);
  assertAnswer(first, 200, JSON_TYPE, PUBLISH.answer);
  assert.equal(first.headers['idempotent-replayed'], undefined);
  assertAnswer(second, 200, JSON_TYPE, first.body);
  assert.equal(second.headers['idempotent-replayed'], 'true');
  assert.equal(second.body.id, first.body.id);
  assert.equal(await client.next(), 'order 42 is paid');
  await run(place, PUBLISH.code);
  assert.deepEqual(JSON.parse(await client.next()), { hello: 'world' });
}

async function look(place) {
  await place.listener('lobby');
  await place.listeners('lobby', 1);
  await place.member('presence-room', 'anna');
  await place.listeners('presence-room', 1);
  await run(place, PUBLISH.code);
  const [channels, channel, presence, history] = await run(place, LOOK);

  const lobby = { channel: 'lobby', subscriptions: 1, users: null };
  assertAnswer(channels, 200, JSON_TYPE, { channels: [lobby], more: false });
  assertAnswer(channel, 200, JSON_TYPE, lobby);
  const members = [{ user: 'anna', info: null }];
  assertAnswer(presence, 200, JSON_TYPE, { channel: 'presence-room', members });

  const { id, position } = PUBLISH.answer;
  const { publications } = history.body;
  assert.equal(publications.length, 2, 'not what `limit` says');
  assertAnswer(history, 200, JSON_TYPE, {
    channel: 'lobby',
    // Whose event and data these are depends on what was published before.
    publications: publications.map(({ event, data }) => {
      assert.equal(typeof data, 'string');
      return { id, position, event, data, source: 'server' };
    }),
    head: position,
    complete: true,
    more: true,
  });
  const numbers = publications.map(each => Number(each.position.split('-')[1]));
  assert.equal(numbers[1], numbers[0] + 1, 'not oldest first');
}

async function disconnect(place) {
  await place.listeners('presence-room', 0);
  const [nobody] = await run(place, DISCONNECT.code);
  assertAnswer(nobody, 200, JSON_TYPE, DISCONNECT.answer);
  const anna = await place.member('presence-room', 'anna');
  const [answer] = await run(place, DISCONNECT.code);
  assertAnswer(answer, 200, JSON_TYPE, { disconnected: 1 });
  assert.equal(await anna.closeCode(), 4403);
  await place.member('presence-room', 'anna');
}

async function error(place) {
  const [answer] = await run(place, ERROR.code);
  assertAnswer(answer, 422, 'application/problem+json', ERROR.answer);
}

/** What curl printed for each of the block's requests. */
async function run(place, code) {
  need('curl');
  writeFileSync(
    join(place.work, '.curlrc'),
    'write-out = "\\n--- %{http_code} %{content_type}\\n"\n',
  );
  const line = `set -eu\n${place.here(START)}${code}`;
  const said = await place.type(line, { CURL_HOME: place.work }).ends();
  const parts = said.split(SEPARATOR);
  const answers = [];
  for (let at = 0; at + 2 < parts.length; at += 3) {
    const [, head = '', body] = parts[at].match(/^(HTTP[^]*?\r\n\r\n)?([^]*)$/);
    const headers = [...head.matchAll(/^(\S+): (.*)\r$/gm)].map(([, name, value]) => [
      name.toLowerCase(),
      value,
    ]);
    answers.push({
      status: Number(parts[at + 1]),
      type: parts[at + 2],
      headers: Object.fromEntries(headers),
      body: JSON.parse(body),
    });
  }
  return answers;
}

function assertAnswer({ status, type, body }, wantedStatus, wantedType, shown) {
  assert.equal(status, wantedStatus, JSON.stringify(body));
  assert.equal(type, wantedType);
  assertShape(body, shown, 'the answer');
}

/** The same names and values, but for ids and positions, which need only look alike, and `...`. */
function assertShape(actual, shown, path) {
  if (typeof shown === 'string') {
    assert.match(actual, pattern(shown), path);
  } else if (shown === null || typeof shown !== 'object') {
    assert.equal(actual, shown, path);
  } else {
    assert.deepEqual(Object.keys(actual).sort(), Object.keys(shown).sort(), path);
    for (const [name, value] of Object.entries(shown)) {
      assertShape(actual[name], value, `${path}.${name}`);
    }
  }
}

function pattern(shown) {
  const escaped = shown.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  const loose = escaped
    .replaceAll('\\.\\.\\.', '.*')
    .replace(/[0-9a-f]{16,}/g, hex => `[0-9a-f]{${hex.length}}`)
    .replace(/(\})-\d+$/, '$1-\\d+');
  return new RegExp(`^${loose}$`, 's');
}
