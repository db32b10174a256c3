// Drives the page of a real `wharf dev` in Debian's Chromium.
//
//   node tests/browser/run.mjs                      every check, then `N passed, N failed`
//   node tests/browser/run.mjs --screenshots DIR    the same, and pictures to look at
//
// The binary is what cargo built last (`cargo build -p cli`), or `WHARF`. Chromium is
// /usr/bin/chromium, or `CHROMIUM`.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Dev } from './dev.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
// A browser or server that hangs must not hang whoever waits for us.
const WHOLE_RUN_MS = 120_000;

const watchdog = setTimeout(() => {
  console.error(`not done after ${WHOLE_RUN_MS} ms`);
  process.exit(1);
}, WHOLE_RUN_MS);
watchdog.unref();

if (!existsSync(join(HERE, 'node_modules', 'playwright-core'))) {
  const npm = ['ci', '--no-audit', '--no-fund', '--no-update-notifier', '--ignore-scripts'];
  const installed = spawnSync('npm', [...npm, '--loglevel=error'], { cwd: HERE, stdio: 'inherit' });
  if (installed.status !== 0) {
    console.error('npm packages of tests/browser could not be installed');
    process.exit(2);
  }
}
const chromium = process.env.CHROMIUM ?? '/usr/bin/chromium';
if (!existsSync(chromium)) {
  console.error(`no ${chromium}: apt-get install chromium, or set CHROMIUM`);
  process.exit(2);
}

const work = mkdtempSync(join(tmpdir(), 'wharf-browser-'));
process.once('exit', () => rmSync(work, { recursive: true, force: true }));
const at = process.argv.indexOf('--screenshots');
const pictures = at > 0 ? resolve(process.argv[at + 1]) : join(work, 'pictures');
mkdirSync(pictures, { recursive: true });

const { Browser } = await import('./browser.mjs');
const { CHECKS } = await import('./checks.mjs');

const dev = await Dev.start(join(work, 'state'));
const browser = await Browser.start(chromium, join(work, 'profile'));
let passed = 0;
let failed = 0;
try {
  const page = await browser.open(`${dev.url}/`);
  for (const [name, check] of CHECKS) {
    try {
      await check({ page, browser, dev, pictures });
      passed += 1;
      console.log(`ok    ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL  ${name}\n      ${String(error.message).replaceAll('\n', '\n      ')}`);
    }
  }
} finally {
  await browser.stop();
  await dev.stop();
}
if (at > 0) {
  console.log(`pictures: ${pictures}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
