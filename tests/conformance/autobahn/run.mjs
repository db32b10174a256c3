// Runs Autobahn's fuzzing client against the echo app: groups 1-7 and 10, with `--all` also 9 (big
// messages). wstest exits with 0 whatever happened, so its report is the judge.

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Gateway } from '../gateway.mjs';
import { autobahn, python2 } from '../tools.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const AGENT = 'wharf';
// Each run writes its report only at its end, so the groups run one after the other: a hang in one
// names it. The number is how many cases Autobahn 25.10.1 has there.
const GROUPS = [
  { cases: ['1.*', '2.*', '3.*', '4.*', '5.*', '7.*', '10.*'], count: 102, seconds: 60 },
  { cases: ['6.*'], count: 145, seconds: 120 },
];
const GROUPS_ALL = [...GROUPS, { cases: ['9.*'], count: 54, seconds: 300 }];
const ACCEPTED = new Set(['OK', 'NON-STRICT', 'INFORMATIONAL']);

const gateway = await Gateway.start();
const work = await mkdtemp(join(tmpdir(), 'wharf-autobahn-'));
try {
  const groups = process.argv.includes('--all') ? GROUPS_ALL : GROUPS;
  let passed = 0;
  let failed = 0;
  for (const group of groups) {
    const results = await run(group);
    const bad = results.filter(([, result]) => !accepted(result));
    const missing = Math.max(0, group.count - results.length);
    print(group, results, bad, missing);
    passed += results.length - bad.length;
    failed += bad.length + missing;
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
} finally {
  await rm(work, { recursive: true, force: true });
  await gateway.stop();
}

/** Resolves to the cases of a group with their results. */
async function run({ cases, seconds }) {
  const outdir = join(work, cases.join('').replaceAll('*', ''));
  const spec = join(work, 'spec.json');
  const url = `${gateway.ws}/a/echo/raw?key=echokey`;
  await writeFile(
    spec,
    JSON.stringify({
      outdir,
      servers: [{ agent: AGENT, url }],
      cases,
      'exclude-cases': [],
      'exclude-agent-cases': {},
    }),
  );
  await wstest(spec, seconds);
  const report = await readFile(join(outdir, 'index.json'), 'utf8').catch(() => '{}');
  return Object.entries(JSON.parse(report)[AGENT] ?? {});
}

function wstest(spec, seconds) {
  const child = spawn(
    python2(),
    [join(HERE, 'wstest.py'), autobahn(), '-m', 'fuzzingclient', '-s', spec],
    {
      cwd: work,
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: seconds * 1000,
      killSignal: 'SIGKILL',
    },
  );
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', text => (errors += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', code => {
      if (code !== 0) {
        console.log(`wstest ended with ${code} (limit ${seconds} s)\n${errors}`);
      }
      resolve();
    });
  });
}

function accepted({ behavior, behaviorClose }) {
  return ACCEPTED.has(behavior) && ACCEPTED.has(behaviorClose);
}

function print({ cases }, results, bad, missing) {
  const counts = {};
  for (const [, { behavior }] of results) {
    counts[behavior] = (counts[behavior] ?? 0) + 1;
  }
  console.log(`${cases.join(' ')}: ${JSON.stringify(counts)}`);
  for (const [id, { behavior, behaviorClose }] of bad) {
    console.log(`  ${id}: ${behavior}, close ${behaviorClose}`);
  }
  if (missing > 0) {
    console.log(`  ${missing} cases have no result`);
  }
}
