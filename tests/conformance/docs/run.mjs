// Tries the snippets of README.md and docs/ as a reader would: in the language and with the library
// that the page names, with only address, key and channel put in, against a real `wharf dev`.
//
// The programs are what cargo built last, or `WHARF` and `WHARF_GATEWAY`; Chromium is `chromium`, or
// `CHROMIUM`. What this machine has no language for is said, and counts as neither passed nor failed.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { closeClients } from '../sdk/clients.mjs';
import { API } from './api.mjs';
import { Place } from './place.mjs';
import { NotRun } from './program.mjs';
import { PUSHER } from './pusher.mjs';
import { RAW, RAW_GO } from './raw.mjs';
import { README } from './readme.mjs';

const WHOLE_RUN_MS = 58_000;

// Pages that share channels come one after the other.
const LANES = [
  [...named('README.md', README), ...named('api.md', API), ...named('pusher.md', PUSHER)],
  named('raw.md', RAW),
  named('raw.md', RAW_GO),
];

const counts = { passed: 0, failed: 0 };
const open = new Set();
const watchdog = setTimeout(() => {
  console.error(`not done after ${WHOLE_RUN_MS} ms: ${[...open].join('; ')}`);
  process.exit(1);
}, WHOLE_RUN_MS);
watchdog.unref();

const work = mkdtempSync(join(tmpdir(), 'wharf-docs-'));
process.once('exit', () => rmSync(work, { recursive: true, force: true, maxRetries: 3 }));

const place = await Place.start(work);
try {
  await Promise.all(LANES.map(runLane));
} finally {
  await closeClients();
  await place.stop();
}
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed === 0 ? 0 : 1;

async function runLane(rows) {
  for (const [name, check] of rows) {
    open.add(name);
    const visit = place.visit();
    try {
      await check(visit).finally(() => visit.leave());
      counts.passed += 1;
      console.log(`ok    ${name}`);
    } catch (error) {
      if (error instanceof NotRun) {
        console.log(`skip  ${name}: ${error.message}`);
      } else {
        counts.failed += 1;
        console.log(`FAIL  ${name}\n      ${String(error.message).replaceAll('\n', '\n      ')}`);
      }
    }
    open.delete(name);
  }
}

function named(page, rows) {
  return rows.map(([name, check]) => [`${page}: ${name}`, check]);
}
