// docs/protocols/raw.md: each client's snippet hears what it says, and the signer's URL opens.

import assert from 'node:assert/strict';

import { Plain } from '../sdk/clients.mjs';
import { Page } from './page.mjs';
import { NotRun, browser, folder, go, java, node, python } from './program.mjs';

const page = new Page('docs/protocols/raw.md');
const SNIPPETS = {
  browser: page.take('js', 'Browser:'),
  node: page.take('js', 'Node, npm `ws`:'),
  python: page.take('python', 'Python, `websockets`:'),
  go: page.take('go', 'Go, `github.com/coder/websocket`:'),
  java: page.take('java', 'Java 11 or later, nothing else:'),
};
page.take('csharp', '.NET, nothing else:');
const ADDRESS = page.take('', 'reaches you.');
const SIGNER = page.take('python', 'as 64 lower-case hex digits.');

export const RAW = [
  page.complete,
  ['Node, npm `ws`', place => heard(place, SNIPPETS.node, node)],
  ['Python, `websockets`', place => heard(place, SNIPPETS.python, python)],
  ['the signer agrees with the example', signerAgrees],
  ['the signer opens a private channel, until someone changes the URL', signerOpens],
  ['the address opens as it is written', address],
  ['Browser', inBrowser],
  ['Java', inJava],
  ['.NET', () => Promise.reject(new NotRun('this suite runs no .NET'))],
];

// Apart from the others: with a cold cache it takes as long as all of them.
export const RAW_GO = [['Go', inGo]];

/** Runs a snippet: it prints its own `hello`, and another client of the channel hears it too. */
async function heard(place, snippet, start, line = 'hello') {
  const { channel, code } = place.alone(snippet);
  const other = await place.listener(channel);
  const program = await start(folder(place.work, channel), code);
  try {
    await program.says(line);
    assert.equal(await other.next(), 'hello');
  } finally {
    await program.stop();
  }
}

async function inBrowser(place) {
  const { channel, code } = place.alone(SNIPPETS.browser);
  const other = await place.listener(channel);
  const program = browser(folder(place.work, channel), code);
  try {
    await program.logs('"hello", source: file:');
    assert.equal(await other.next(), 'hello');
  } finally {
    await program.stop();
  }
}

async function inGo(place) {
  const imports = ['context', 'fmt', 'log', 'github.com/coder/websocket'];
  const wrapped = code => `package main
${imports.map(name => `import "${name}"\n`).join('')}
func main() {
${code}}
`;
  await heard(place, SNIPPETS.go, (path, code) => go(path, wrapped(code)), 'hello <nil>');
}

async function inJava(place) {
  const imports = ['java.net.*', 'java.net.http.*', 'java.util.concurrent.*'];
  // Threads of the client do not keep a program alive: its own work does.
  const wrapped = code => `${imports.map(name => `import ${name};\n`).join('')}
class Snippet {
  public static void main(String[] arguments) throws Exception {
${code}
    Thread.sleep(60_000);
  }
}
`;
  await heard(place, SNIPPETS.java, (path, code) => java(path, '11', wrapped(code)));
}

/** The page's example, with the clock at an hour before it expires. */
async function signerAgrees(place) {
  const text = page.text.match(/For the app `demo`, the secret [^]*?`\.\n/)[0];
  const [app, secret, key, channel, expires, user, signature] = [
    ...text.matchAll(/`([^`]+)`/g),
  ].map(([, quoted]) => quoted.split('=').at(-1));
  const parameters = JSON.stringify(Object.entries({ key, channel, user_id: user }));
  const url = await sign(
    place,
    `time.time = lambda: ${expires} - 3600
print(signed_url('ws://HOST', '${app}', '${secret}', [tuple(pair) for pair in ${parameters}]))
`,
  );
  const query = new URL(url).searchParams;
  assert.equal(query.get('expires'), expires);
  assert.equal(query.get('signature'), signature);
}

async function signerOpens(place) {
  const { code, key, secret } = place.app;
  const channel = 'private-signed';
  const parameters = `[('key', '${key}'), ('channel', '${channel}'), ('publish', '${channel}')]`;
  const url = await sign(
    place,
    `print(signed_url('${place.gateway.ws}', '${code}', '${secret}', ${parameters}))\n`,
  );
  const client = await place.open(url);
  client.send('signed');
  assert.equal(await client.next(), 'signed');
  assert.equal(await Plain.refused(url.replaceAll(channel, 'private-other')), 401);
}

async function sign(place, use) {
  return (await python(folder(place.work, `sign-${use.length}`), SIGNER + use).ends()).trim();
}

/** The grammar of the address, each of its parts given. */
async function address(place) {
  const url = ADDRESS.trim()
    .replace('[&channel=...]', '&channel=second')
    .replace(/[[\]]/g, '')
    .replace('HOST:PORT', `127.0.0.1:${place.port}`)
    .replace('<app code>', place.app.code)
    .replace('<key>', place.app.key)
    .replaceAll('<channel>', 'first');
  assert.doesNotMatch(url, /[<>.]{2}|[<>[\]]/);
  const client = await place.open(url);
  const other = await place.listener('first');
  client.send('not to myself');
  assert.equal(await other.next(), 'not to myself');
  const writer = await place.open(url.replace('publish=first', 'publish=second'));
  writer.send('to the second');
  assert.equal(await client.next(), 'to the second');
}
