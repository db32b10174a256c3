// Runs the Python suites (`pusher` and `websockets` from PyPI) against one gateway.

import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Gateway } from '../gateway.mjs';
import { python3 } from '../tools.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));

const gateway = await Gateway.start();
try {
  const { code, output } = await unittest();
  const total = Number(output.match(/^Ran (\d+) tests?/m)?.[1] ?? 0);
  const [failures, errors] = ['failures', 'errors'].map(kind =>
    Number(output.match(new RegExp(`^FAILED .*${kind}=(\\d+)`, 'm'))?.[1] ?? 0),
  );
  // A run that ends badly has failed at least once, whatever its last lines say.
  const failed = code === 0 && total > 0 ? 0 : Math.max(1, failures + errors);
  console.log(`${Math.max(0, total - failures - errors)} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
} finally {
  await gateway.stop();
}

function unittest() {
  const child = spawn(python3(), ['-B', '-m', 'unittest', 'discover', '-s', HERE, '-v'], {
    env: { ...process.env, WHARF_PORT: String(gateway.port) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', text => {
    output += text;
    process.stdout.write(text);
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', code => resolve({ code, output }));
  });
}
