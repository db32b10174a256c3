// Runs pusher-js's own integration specs, as the npm package ships them, against a gateway: all 50
// must pass. The package is copied first, because its build writes beside its sources.

import { execFile, spawn } from 'node:child_process';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Gateway } from '../gateway.mjs';
import { listen } from './auth_server.mjs';

const SPECS_EXPECTED = 50;
const HERE = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);

const work = await mkdtemp(join(tmpdir(), 'wharf-pusher-js-'));
try {
  await build(work);
  const { passed, failed } = await run(work);
  if (passed + failed !== SPECS_EXPECTED) {
    console.log(`expected ${SPECS_EXPECTED} specs, ${passed + failed} ran`);
  }
  const missing = Math.max(0, SPECS_EXPECTED - passed - failed);
  console.log(`${passed} passed, ${failed + missing} failed`);
  process.exitCode = passed === SPECS_EXPECTED && failed === 0 ? 0 : 1;
} finally {
  await rm(work, { recursive: true, force: true });
}

async function build(folder) {
  const vendor = dirname(require.resolve('pusher-js/package.json'));
  for (const part of ['package.json', 'tsconfig.json', 'spec', 'src', 'webpack']) {
    await cp(join(vendor, part), join(folder, part), { recursive: true });
  }
  await symlink(dirname(vendor), join(folder, 'node_modules'));
  await promisify(execFile)(process.execPath, [join(HERE, 'build.cjs')], {
    cwd: folder,
    env: { ...process.env, MINIMIZE: 'false' },
  });
}

async function run(folder) {
  const gateway = await Gateway.start();
  const servers = [];
  try {
    const first = { appId: '1', key: 'c49a449b916bb4246729', secret: 'specs-first-secret-0001' };
    const second = { appId: '2', key: 'cb7d5e50f5669e5c9ae6', secret: 'specs-second-secret-0002' };
    for (const app of [first, second]) {
      servers.push(await listen({ ...app, port: gateway.port }));
    }
    const [auth, authEu] = servers.map(server => `http://127.0.0.1:${server.address().port}`);
    return await jasmine(folder, {
      WHARF_PORT: String(gateway.port),
      WHARF_AUTH_URL: auth,
      WHARF_AUTH_EU_URL: authEu,
    });
  } finally {
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
    await gateway.stop();
  }
}

/** Runs the built specs, shows what they print and counts by their closing line. */
function jasmine(folder, variables) {
  const child = spawn(
    process.execPath,
    [join(folder, 'node_modules/.bin/jasmine'), '--config=spec/config/jasmine/integration.json'],
    { cwd: folder, env: { ...process.env, ...variables }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let output = '';
  child.stdout.setEncoding('utf8').on('data', text => {
    output += text;
    process.stdout.write(text);
  });
  return new Promise(resolve => {
    child.once('close', code => {
      const [, succeeded = 0, total = 0] = output.match(/Executed (\d+) of (\d+) specs?/) ?? [];
      const failed = Number(output.match(/\((\d+) FAILED\)/)?.[1] ?? 0);
      const passed = Number(succeeded) - failed;
      // A runner that ends badly has failed at least once, whatever its last line says.
      resolve({
        passed,
        failed: code === 0 ? Number(total) - passed : Math.max(1, Number(total) - passed),
      });
    });
  });
}
