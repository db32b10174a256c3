// README.md: the first things that a newcomer types, and the way to run it for real.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { freePort } from '../gateway.mjs';
import { until } from '../sdk/clients.mjs';
import { Page, ROOT } from './page.mjs';
import { NotRun, browser, folder, node } from './program.mjs';

const page = new Page('README.md');
const RUN = typed(page.take('', 'they already have'));
const [SUB, PUB] = typed(page.take('', 'prints endpoints, keys and the first thing to try'));
const PUSHER_JS = page.take('js', 'A message published through one');
const WEBSOCKET = page.take('js', 'A message published through one');
const REAL = typed(page.take('', '`make release` builds'));
const MEASURE = typed(page.take('', 'Test and measure'));

const CONFIGURATION_WRONG = 78;

export const README = [
  page.complete,
  ['what `make run` starts prints endpoints, keys and the first thing to try', banner],
  ['`wharf dev` listens on the port of the snippets', port],
  ['`wharf sub` prints what `wharf pub` publishes', terminals],
  ['pusher-js', pusherJs],
  ['WebSocket', webSocket],
  ['run it for real', real],
  ['`make test` and `make bench`', measure],
];

/** The command lines of a transcript. */
function typed(transcript) {
  return transcript
    .split('\n')
    .filter(line => line.startsWith('$ '))
    .map(line => line.slice(2));
}

async function banner(place) {
  assert.deepEqual(RUN, ['make run']);
  // Compiling a release is not for a test; what make would type then is.
  assert.match(made('run'), /^\S+\/release\/wharf dev\b/m);
  const state = join(place.work, 'banner');
  const program = place.type(
    `wharf dev --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --state-dir '${state}'`,
  );
  let ready;
  try {
    await program.says('Ctrl-C ends it.');
    ready = JSON.parse(readFileSync(join(state, 'dev.json'), 'utf8'));
  } finally {
    await program.stop();
  }
  await program.ends();
  const { apps, gateway_url: url } = ready;
  const [{ key, secret, api_key: apiKey }] = apps;
  for (const wanted of [key, secret, apiKey, `${url}/`, url.replace('http', 'ws')]) {
    assert.ok(program.out.includes(wanted), `no ${wanted} in\n${program.out}`);
  }
  for (const line of [SUB, PUB]) {
    const command = line.replace(/ *#.*/, '');
    assert.ok(program.out.includes(command), `no ${command} in\n${program.out}`);
  }
}

async function port(place) {
  const help = await place.type('wharf dev --help').ends();
  assert.match(help, /\[default: 127\.0\.0\.1:7000\]/);
}

async function terminals(place) {
  await reaches(place, place.type(SUB), program => program.says('{"hello":"world"}'));
}

async function pusherJs(place) {
  const program = node(
    folder(place.work, 'readme-pusher-js'),
    `import Pusher from 'pusher-js';
const { KEY } = ${JSON.stringify(place.constants)};
${place.here(PUSHER_JS)}`,
  );
  await reaches(place, program, () => program.says("{ hello: 'world' }"));
}

async function webSocket(place) {
  const program = browser(
    folder(place.work, 'readme-websocket'),
    `const { KEY } = ${JSON.stringify(place.constants)};
${place.here(WEBSOCKET)}`,
  );
  await reaches(place, program, () => program.logs('"{"hello":"world"}", source: file:'));
}

/** Whoever listens to the lobby hears the `wharf pub` of the page. */
async function reaches(place, program, heard) {
  try {
    await place.listeners('lobby', 1, program);
    assert.match(await place.type(PUB).ends(), /^[0-9a-f]{32}\n$/);
    await heard(program);
  } finally {
    await program.stop();
  }
  await place.listeners('lobby', 0);
}

async function real(place) {
  const cwd = folder(place.work, 'real');
  symlinkSync(join(ROOT, 'services'), join(cwd, 'services'));
  const type = line => place.type(`cd '${cwd}' && ${line}`);
  const configuration = join(cwd, 'gateway.toml');
  const [print, ...rest] = REAL;
  const serve = rest.pop();
  await type(print).ends();
  const [clients, admin] = [await freePort(), await freePort()];
  const printed = readFileSync(configuration, 'utf8');
  const own = printed.replace('"127.0.0.1:8080"', `"127.0.0.1:${clients}"`);
  assert.notEqual(own, printed);
  writeFileSync(configuration, own.replace('"127.0.0.1:8081"', `"127.0.0.1:${admin}"`));
  for (const line of rest) {
    await type(line).ends();
  }

  const program = type(`exec ${serve}`);
  try {
    const ready = () => fetch(`http://127.0.0.1:${admin}/readyz`).catch(() => ({}));
    await until(
      async () => (await ready()).ok || program.code !== undefined,
      'it to be ready',
      20_000,
    );
    assert.equal(program.code, undefined, program.out + program.errors);
  } finally {
    await program.stop();
  }
  await program.ends();

  const check = rest.find(line => line.includes('--check-config'));
  writeFileSync(configuration, own.replace(`"127.0.0.1:${clients}"`, `"0.0.0.0:${clients}"`));
  const refused = type(check);
  await refused.ends(CONFIGURATION_WRONG);
  assert.match(refused.errors, /is not a loopback address and there is no TLS/);
}

async function measure() {
  assert.deepEqual(
    MEASURE.map(line => line.replace(/ *#.*/, '')),
    ['make test', 'make bench'],
  );
  ['test', 'bench'].forEach(made);
  throw new NotRun('they run this suite, and longer ones; make knows them');
}

/** What make would do. */
function made(target) {
  // This may be run by a make with flags of its own.
  const env = { ...process.env, MAKEFLAGS: '' };
  const options = { cwd: ROOT, encoding: 'utf8', env };
  const { status, stdout, stderr } = spawnSync('make', ['-n', target], options);
  assert.equal(status, 0, stderr);
  return stdout;
}
