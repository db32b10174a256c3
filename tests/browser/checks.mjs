// What a newcomer finds on the page of `wharf dev`, in order: each check goes on where the one before
// it ended.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { join } from 'node:path';

const PANES = ['A', 'B'];
// Loopback, on a machine that may be busy with other tests.
const LATENCY_MAX_MS = 1_000;

export const CHECKS = [
  ['the page loads, for this machine only', loads],
  ['both clients connect', connect],
  ['a message of A arrives in both, with its latency', context => exchanged(context, 'A')],
  ['a message of B arrives in both, with its latency', context => exchanged(context, 'B')],
  ['repeated messages are matched one by one', repeated],
  ['`wharf pub` arrives in both', fromTerminal],
  ['bytes are shown as bytes', fromTerminalBinary],
  ['what others publish stays text', staysText],
  ['pictures can be taken of it', picture],
  ['another channel is another conversation', anotherChannel],
  ['a refusal says what to do', refusal],
  ['a name that no channel can have is refused at once', badName],
  ['secrets are hidden until asked for, and copied in full', secrets],
  ['each snippet carries this key', snippets],
  ['the browser snippet works as it is copied', browserSnippet],
  ['it can be used by keyboard', keyboard],
  ['it fits a narrow screen', narrow],
  ['it has a dark side', dark],
  ['it asked nobody else and had no errors', quiet],
  ['both clients come back after a restart', restart],
];

const pane = (page, name) => page.locator(`.pane[data-name="${name}"]`);
const lines = (page, name) => pane(page, name).locator('.log li:not(.empty)');

async function loads({ page, browser, dev }) {
  assert.equal(await page.title(), 'wharf dev');
  const headers = browser.answer.headers();
  assert.match(headers['content-security-policy'], /^default-src 'none'; script-src 'sha256-/);
  assert.equal(headers['cache-control'], 'no-store');
  assert.equal(headers['x-frame-options'], 'DENY');
  const { hostname, port } = new URL(dev.url);
  const status = host =>
    new Promise((done, failed) => {
      const options = { hostname, port, headers: { host }, agent: false };
      request(options, answer => done(answer.resume().statusCode)).once('error', failed).end();
    });
  assert.equal(await status(`localhost:${port}`), 200);
  assert.equal(await status(`rebound.example:${port}`), 404);
}

async function connect({ page }) {
  for (const name of PANES) {
    await until(page, name, 'connected');
    assert.equal(await pane(page, name).locator('.state-text').textContent(), 'connected to lobby');
  }
}

async function exchanged({ page }, from) {
  await pane(page, from).locator('input').fill(`hello from ${from}`);
  await pane(page, from).getByRole('button', { name: 'Send' }).click();
  for (const name of PANES) {
    const line = lines(page, name).filter({ hasText: `hello from ${from}` });
    await line.waitFor();
    assert.equal(await line.locator('.who').textContent(), from);
    assertLatency(await line.locator('.took').textContent());
  }
}

async function repeated({ page }) {
  const before = await lines(page, 'B').count();
  await pane(page, 'A').locator('input').fill('again');
  for (let time = 0; time < 3; time += 1) {
    await pane(page, 'A').locator('input').press('Enter');
  }
  await lines(page, 'B').nth(before + 2).waitFor();
  for (let time = 0; time < 3; time += 1) {
    assertLatency(await lines(page, 'B').nth(before + time).locator('.took').textContent());
  }
}

async function fromTerminal({ page, dev }) {
  const id = await dev.run('pub', 'lobby', '{"from":"a terminal"}');
  assert.match(id, /^[0-9a-f]{32}$/);
  for (const name of PANES) {
    const line = lines(page, name).filter({ hasText: '{"from":"a terminal"}' });
    await line.waitFor();
    assert.equal(await line.locator('.took').textContent(), 'from elsewhere');
  }
}

async function fromTerminalBinary({ page, dev }) {
  await dev.run('pub', 'lobby', '--binary-file', join(dev.stateDir, 'api-key'));
  await lines(page, 'A').filter({ hasText: /^⇢60 bytes: 77 68 66 5f / }).waitFor();
}

async function staysText({ page, dev }) {
  const nasty = '<img src=x onerror="document.title=1"><b>bold</b>';
  await dev.run('pub', 'lobby', nasty);
  await lines(page, 'A').filter({ hasText: nasty }).waitFor();
  assert.equal(await page.locator('.log b, .log img').count(), 0);
  assert.equal(await page.title(), 'wharf dev');
}

async function picture({ page, pictures }) {
  const bytes = await photograph(page, pictures, 'light');
  assert.ok(bytes.length > 10_000, 'the picture is empty');
}

async function anotherChannel({ page, dev }) {
  await joinChannel(page, 'news/sport+1');
  for (const name of PANES) {
    await until(page, name, 'connected');
    assert.equal(await lines(page, name).count(), 0);
  }
  await dev.run('pub', 'lobby', 'not for news');
  await pane(page, 'B').getByRole('button', { name: 'Send' }).click();
  await lines(page, 'A').filter({ hasText: 'hello from B' }).waitFor();
  assert.equal(await lines(page, 'A').count(), 1);
  assert.match(await page.locator('#terminal').textContent(), / pub news\/sport\+1 /);
}

async function refusal({ page, pictures }) {
  await joinChannel(page, 'private-x');
  for (const name of PANES) {
    await until(page, name, 'closed');
    const text = await pane(page, name).locator('.trouble p').textContent();
    assert.match(text, /^4401 .*wharf'? sub private-x --state-dir .*wharf'? sign url --channel private-x --state-dir /);
    assert.ok(await pane(page, name).getByRole('button', { name: 'Send' }).isDisabled());
  }
  await photograph(page, pictures, 'refused');
  await joinChannel(page, 'presence-x');
  await until(page, 'A', 'closed');
  const text = pane(page, 'A').locator('.trouble p').filter({ hasText: 'presence-x' });
  assert.match(await text.textContent(), / sub presence-x --user-id 7 .* sign url --channel presence-x --user-id 7 /);
}

async function badName({ page }) {
  await joinChannel(page, 'no spaces');
  assert.match(await page.locator('#channel-error').textContent(), /^Use 1 to 200 of /);
  await joinChannel(page, 'lobby');
  assert.equal(await page.locator('#channel-error').textContent(), '');
  await connect({ page });
}

async function secrets({ page, dev }) {
  const { secret, api_key: apiKey, key } = dev.app;
  const shown = () => page.locator('body').innerText();
  assert.ok((await shown()).includes(key));
  assert.ok(!(await shown()).includes(secret));
  assert.ok(!(await shown()).includes(apiKey));
  await page.getByRole('button', { name: 'Copy Secret' }).click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), secret);
  await page.getByRole('button', { name: 'Reveal Secret' }).click();
  assert.ok((await shown()).includes(secret));
  await page.getByRole('button', { name: 'Hide Secret' }).click();
  assert.ok(!(await shown()).includes(secret));
  await page.getByRole('tab', { name: 'curl' }).click();
  assert.ok(!(await shown()).includes(apiKey));
  await page.locator('#snippet-copy').click();
  const curl = await page.evaluate(() => navigator.clipboard.readText());
  assert.ok(curl.includes(`Bearer ${apiKey}`));
}

async function snippets({ page, dev }) {
  const { port } = new URL(dev.url);
  const names = await page.getByRole('tab').allTextContents();
  assert.equal(names.length, 12);
  for (const name of names) {
    await page.getByRole('tab', { name, exact: true }).click();
    const code = await page.locator('#snippet-code').textContent();
    assert.ok(code.includes('lobby'), name);
    assert.ok(name === 'wharf' || code.includes(port), name);
    assert.ok(['wharf', 'curl'].includes(name) || code.includes(dev.app.key), name);
    assert.ok(!/undefined|NaN/.test(code), name);
  }
}

async function browserSnippet({ page, browser }) {
  await page.getByRole('tab', { name: 'Browser' }).click();
  await page.locator('#snippet-copy').click();
  const code = await page.evaluate(() => navigator.clipboard.readText());
  const blank = await browser.context.newPage();
  const said = blank.waitForEvent('console');
  await blank.evaluate(text => void (0, eval)(text), code);
  assert.equal((await said).text(), 'hello');
  await blank.close();
}

async function keyboard({ page }) {
  await page.getByRole('tab', { name: 'Browser' }).focus();
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.getByRole('tab', { selected: true }).textContent(), 'pusher-js');
  await page.keyboard.press('End');
  assert.equal(await page.getByRole('tab', { selected: true }).textContent(), '.NET');
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.getByRole('tab', { selected: true }).textContent(), 'Browser');
  await page.locator('#channel').focus();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  const label = () => page.evaluate(() => document.activeElement.getAttribute('aria-label'));
  assert.equal(await label(), 'Messages of client A');
  await page.keyboard.press('Tab');
  assert.equal(await label(), 'Message of client A');
  await page.keyboard.type('by keyboard\n');
  await lines(page, 'B').filter({ hasText: 'by keyboard' }).waitFor();
}

async function narrow({ page, pictures }) {
  await page.setViewportSize({ width: 400, height: 800 });
  const [inner, outer] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  assert.ok(inner <= outer, `${inner} px wide on ${outer}`);
  await photograph(page, pictures, 'narrow');
  await page.setViewportSize({ width: 1200, height: 900 });
}

async function dark({ page, pictures }) {
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.emulateMedia({ colorScheme: 'dark' });
  assert.notEqual(await paper(), light);
  await photograph(page, pictures, 'dark');
  await page.emulateMedia({ colorScheme: 'light' });
}

async function quiet({ browser, dev }) {
  const { host } = new URL(dev.url);
  const elsewhere = browser.requests.filter(url => {
    const { protocol, host: asked } = new URL(url);
    return protocol !== 'data:' && asked !== host;
  });
  assert.deepEqual(elsewhere, []);
  assert.deepEqual(browser.errors, []);
}

async function restart({ page, dev, pictures }) {
  await dev.stop();
  for (const name of PANES) {
    await until(page, name, 'waiting');
  }
  await photograph(page, pictures, 'away');
  await dev.startAgain();
  for (const name of PANES) {
    await until(page, name, 'connected');
  }
  await exchanged({ page }, 'A');
}

async function photograph(page, pictures, name) {
  await page.evaluate(() => window.scrollTo({ top: 0, behavior: 'instant' }));
  // Until what has just arrived no longer glows.
  await page.waitForTimeout(600);
  return page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
}

async function joinChannel(page, channel) {
  await page.locator('#channel').fill(channel);
  await page.getByRole('button', { name: 'Join' }).click();
}

function until(page, name, state) {
  return page.locator(`.pane[data-name="${name}"][data-state="${state}"]`).waitFor({ timeout: 10_000 });
}

function assertLatency(text) {
  const took = Number(/^(\d+\.\d) ms$/.exec(text)?.[1]);
  assert.ok(took >= 0 && took < LATENCY_MAX_MS, text);
}
