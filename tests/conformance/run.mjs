// Runs the conformance suites, two at a time, and prints one line for each.
//
//   node tests/conformance/run.mjs                   every suite
//   node tests/conformance/run.mjs raw limits        these
//   node tests/conformance/run.mjs --all             every suite, Autobahn with its big messages
//
// `tests/setup.sh` comes first. The gateway is what cargo built last, or `WHARF_GATEWAY`.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { binary } from './gateway.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
// One waits most of the time, the other works: two keep two cores busy.
const PARALLEL = 2;

const all = process.argv.includes('--all');

/** Each suite is one command that ends by saying `N passed, N failed`, and the seconds it may take. */
const SUITES = [
  { name: 'pusher-js-specs', command: ['pusher-js-specs/run.mjs'], seconds: 240 },
  {
    name: 'autobahn',
    command: ['autobahn/run.mjs', ...(all ? ['--all'] : [])],
    seconds: all ? 600 : 240,
  },
  sdk('shutdown', 120),
  sdk('pusher-server', 120),
  sdk('pusher-js', 120),
  sdk('limits', 120),
  sdk('laravel-echo', 120),
  sdk('raw', 120),
  { name: 'python', command: ['python/run.mjs'], seconds: 120 },
  { name: 'docs', command: ['docs/run.mjs'], seconds: 60 },
];

const wanted = process.argv.slice(2).filter(argument => argument !== '--all');
const unknown = wanted.filter(name => !SUITES.some(suite => suite.name === name));
if (unknown.length > 0) {
  console.error(`no suite ${unknown}; there are: ${SUITES.map(({ name }) => name).join(' ')}`);
  process.exit(2);
}
try {
  console.log(`gateway: ${binary()}`);
} catch (error) {
  console.error(error.message);
  process.exit(2);
}

// The suites' temporary files; one that is ended cannot tidy up behind itself.
const work = mkdtempSync(join(tmpdir(), 'wharf-conformance-'));
process.once('exit', () => rmSync(work, { recursive: true, force: true }));

// Groups of their own do not get the terminal's signals.
const groups = new Set();
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    for (const group of groups) {
      process.kill(-group, 'SIGKILL');
    }
    process.exit(1);
  });
}

const queue = SUITES.filter(suite => wanted.length === 0 || wanted.includes(suite.name));
const results = [];
await Promise.all(Array.from({ length: PARALLEL }, runQueue));

const sum = kind => results.reduce((total, result) => total + result[kind], 0);
console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
process.exitCode = sum('failed') === 0 ? 0 : 1;

async function runQueue() {
  for (let suite = queue.shift(); suite; suite = queue.shift()) {
    const result = await run(suite);
    results.push(result);
    if (result.failed > 0) {
      console.log(`--- ${suite.name}\n${result.output.trimEnd()}\n---`);
    }
    const { passed, failed, took } = result;
    console.log(
      `${suite.name.padEnd(16)} ${passed} passed, ${failed} failed (${took.toFixed(1)} s)`,
    );
    for (const [skipped] of result.output.matchAll(/^skip .*$/gm)) {
      console.log(`  ${skipped}`);
    }
  }
}

function run({ command, seconds }) {
  const started = Date.now();
  // A group of its own, so that the limit ends everything that the suite started.
  const child = spawn(process.execPath, command, {
    cwd: HERE,
    detached: true,
    env: { ...process.env, TMPDIR: work },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  groups.add(child.pid);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', text => (output += text));
  }
  const limit = setTimeout(() => {
    output += `\nended after its limit of ${seconds} s\n`;
    process.kill(-child.pid, 'SIGKILL');
  }, seconds * 1000);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', code => {
      clearTimeout(limit);
      groups.delete(child.pid);
      resolve({ ...counts(output, code), output, took: (Date.now() - started) / 1000 });
    });
  });
}

/** What a suite's closing lines say: ours, or those of Node's test runner. */
function counts(output, code) {
  const own = [...output.matchAll(/^(\d+) passed, (\d+) failed$/gm)].at(-1);
  const node = kind =>
    Number([...output.matchAll(new RegExp(`^# ${kind} (\\d+)$`, 'gm'))].at(-1)?.[1] ?? 0);
  const passed = own ? Number(own[1]) : node('pass');
  const failed = own ? Number(own[2]) : node('fail') + node('cancelled');
  // A suite that ended badly, or ran nothing, has failed, whatever it printed.
  const ended = code === 0 && passed > 0;
  return { passed, failed: ended ? failed : Math.max(1, failed) };
}

function sdk(name, seconds) {
  const command = ['--test', '--test-reporter=tap', join('sdk', `${name}.test.mjs`)];
  return { name, command, seconds };
}
