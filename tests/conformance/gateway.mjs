// Starts one real gateway on loopback for a suite and ends it again. A gateway that exits early, logs
// a panic or does not leave by itself at SIGTERM fails the suite, whatever its clients saw.

import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const READY_MS = 10_000;
const STOP_MS = 15_000;
// What the gateway exits with when its port is taken (sysexits EX_OSERR).
const PORT_TAKEN = 71;

export class Gateway {
  /** Resolves when the gateway is ready. `port` asks for a port that an earlier gateway had. */
  static async start({ port, attempts = 3, extra = '' } = {}) {
    const gateway = new Gateway();
    gateway.port = port ?? (await freePort());
    gateway.adminPort = await freePort();
    gateway.extra = extra;
    await gateway.#spawn();
    try {
      await gateway.#ready();
    } catch (error) {
      await gateway.#kill();
      if (gateway.exitCode === PORT_TAKEN && port === undefined && attempts > 1) {
        return Gateway.start({ attempts: attempts - 1, extra });
      }
      throw error;
    }
    return gateway;
  }

  get http() {
    return `http://127.0.0.1:${this.port}`;
  }

  get ws() {
    return `ws://127.0.0.1:${this.port}`;
  }

  get log() {
    return this.chunks.join('');
  }

  signal(name) {
    this.child.kill(name);
  }

  /** Asks the gateway to leave and checks that its whole life was clean. */
  async stop() {
    if (this.exitCode !== undefined && !this.stopping) {
      throw new Error(`the gateway exited early with ${this.exitCode}:\n${this.log}`);
    }
    this.stopping = true;
    this.signal('SIGTERM');
    const left = await Promise.race([
      this.exited.then(() => true),
      sleep(STOP_MS, false, { ref: false }),
    ]);
    await this.#kill();
    if (/panicked at/.test(this.log)) {
      throw new Error(`the gateway panicked:\n${this.log}`);
    }
    if (!left) {
      throw new Error(`the gateway did not leave within ${STOP_MS} ms of SIGTERM:\n${this.log}`);
    }
    if (this.exitCode !== 0) {
      throw new Error(`the gateway left with ${this.exitCode}:\n${this.log}`);
    }
  }

  async #spawn() {
    this.folder = await mkdtemp(join(tmpdir(), 'wharf-conformance-'));
    await copyFile(join(HERE, 'apps.toml'), join(this.folder, 'apps.toml'));
    await writeFile(join(this.folder, 'gateway.toml'), this.#config());
    this.chunks = [];
    this.child = spawn(binary(), ['--config', 'gateway.toml'], {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    // A suite that dies must not leave its gateway behind.
    process.once('exit', (this.killAtExit = () => this.child.kill('SIGKILL')));
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding('utf8').on('data', text => this.chunks.push(text));
    }
    this.exited = new Promise(done => {
      this.child.once('error', error => done(this.#ended(String(error))));
      this.child.once('close', (code, signal) => done(this.#ended(code ?? signal)));
    });
  }

  #config() {
    return `listen = "127.0.0.1:${this.port}"
admin_listen = "127.0.0.1:${this.adminPort}"
apps = "apps.toml"
shards = 2
${this.extra}
[limits]
connects_per_second_per_address = 1000

[shutdown]
window = "1s"
`;
  }

  #ended(code) {
    this.exitCode = code;
    process.removeListener('exit', this.killAtExit);
  }

  async #ready() {
    const deadline = Date.now() + READY_MS;
    while (this.exitCode === undefined) {
      const answer = await fetch(`http://127.0.0.1:${this.adminPort}/readyz`).catch(
        () => undefined,
      );
      if (answer?.ok) {
        return;
      }
      if (Date.now() > deadline) {
        throw new Error(`the gateway was not ready within ${READY_MS} ms:\n${this.log}`);
      }
      await sleep(20);
    }
    throw new Error(`the gateway exited with ${this.exitCode} before it was ready:\n${this.log}`);
  }

  async #kill() {
    this.child.kill('SIGKILL');
    await this.exited;
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** The binary under test: `WHARF_GATEWAY`, else what cargo built. */
export function binary() {
  if (process.env.WHARF_GATEWAY) {
    return resolve(process.env.WHARF_GATEWAY);
  }
  const target = process.env.CARGO_TARGET_DIR ?? join(HERE, '..', '..', 'target');
  const found = ['release', 'debug']
    .map(profile => join(target, profile, 'wharf-gateway'))
    .filter(existsSync)
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  if (found.length === 0) {
    throw new Error(
      `no wharf-gateway in ${target}: run \`cargo build -p gateway\`, or set WHARF_GATEWAY`,
    );
  }
  return found[0];
}

/** A loopback port that nobody listens on right now. */
export function freePort() {
  return new Promise((done, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}
