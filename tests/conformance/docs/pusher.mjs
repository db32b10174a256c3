// docs/protocols/pusher.md: the libraries, pointed here as the page says, hear each other.

import assert from 'node:assert/strict';

import { Page } from './page.mjs';
import { folder, node, python } from './program.mjs';

const page = new Page('docs/protocols/pusher.md');
const JAVASCRIPT = page.take('js', 'Pointing libraries at Wharf');
const PYTHON = page.take('python', 'Pointing libraries at Wharf');

export const PUSHER = [
  page.complete,
  ['pusher-js and laravel-echo hear npm `pusher`', javascript],
  ['a client hears PyPI `pusher`', inPython],
];

async function javascript(place) {
  const program = node(
    folder(place.work, 'pusher-npm'),
    `import Echo from 'laravel-echo';
import PusherServer from 'pusher';
import Pusher from 'pusher-js';
const { KEY, SECRET, APP_ID } = ${JSON.stringify(place.constants)};
${place.here(JAVASCRIPT)}
pusher.subscribe('from-npm').bind('greeting', data => console.log('pusher-js', data.hello));
echo.channel('from-npm').listen('.greeting', data => console.log('laravel-echo', data.hello));
process.once('SIGUSR2', () => server.trigger('from-npm', 'greeting', { hello: 'world' }));
`,
  );
  try {
    await place.listeners('from-npm', 2, program);
    program.child.kill('SIGUSR2');
    await program.says('pusher-js world');
    await program.says('laravel-echo world');
  } finally {
    await program.stop();
  }
}

async function inPython(place) {
  const { KEY, SECRET, APP_ID } = place.constants;
  const client = await place.listener('from-pypi');
  await python(
    folder(place.work, 'pusher-pypi'),
    `import pusher
KEY, SECRET, APP_ID = '${KEY}', '${SECRET}', '${APP_ID}'
${place.here(PYTHON)}
server.trigger('from-pypi', 'greeting', {'hello': 'world'})
`,
  ).ends();
  assert.deepEqual(JSON.parse(await client.next()), { hello: 'world' });
}
