// A `wharf dev` on free ports and its commands.

import { execFile, spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const HERE = dirname(fileURLToPath(import.meta.url));
const READY_MS = 10_000;

export class Dev {
  static async start(stateDir, listen = '127.0.0.1:0') {
    const dev = new Dev();
    dev.stateDir = stateDir;
    await dev.#spawn(listen);
    return dev;
  }

  get url() {
    return this.ready.gateway_url;
  }

  get app() {
    return this.ready.apps[0];
  }

  /** What a command of this state folder prints. */
  async run(...args) {
    const command = [...args, '--state-dir', this.stateDir];
    const { stdout } = await promisify(execFile)(binary(), command, { timeout: 10_000 });
    return stdout.trim();
  }

  async stop() {
    this.child.kill('SIGTERM');
    const code = await this.exited;
    if (code !== 0) {
      throw new Error(`wharf dev left with ${code}:\n${this.log}`);
    }
  }

  /** The same state on the same port. */
  async startAgain() {
    await this.#spawn(new URL(this.url).host);
  }

  async #spawn(listen) {
    const args = ['dev', '--listen', listen, '--admin-listen', '127.0.0.1:0', '--output', 'json'];
    this.log = '';
    this.child = spawn(binary(), [...args, '--state-dir', this.stateDir]);
    const child = this.child;
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    this.exited = new Promise(done => child.once('exit', code => done(code)));
    this.exited.then(() => process.removeListener('exit', kill));
    child.stderr.on('data', chunk => (this.log += chunk));
    const line = new Promise(done => createInterface({ input: child.stdout }).once('line', done));
    const late = new Promise(done => setTimeout(done, READY_MS).unref());
    const first = await Promise.race([line, late, this.exited.then(() => undefined)]);
    if (first === undefined) {
      child.kill('SIGKILL');
      throw new Error(`wharf dev is not ready:\n${this.log}`);
    }
    this.ready = JSON.parse(first);
  }
}

function binary() {
  if (process.env.WHARF) {
    return resolve(process.env.WHARF);
  }
  const target = process.env.CARGO_TARGET_DIR ?? join(HERE, '..', '..', 'target');
  const found = ['release', 'debug']
    .map(profile => join(target, profile, 'wharf'))
    .filter(existsSync)
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  if (found.length === 0) {
    throw new Error(`no wharf in ${target}: run \`cargo build -p cli\`, or set WHARF`);
  }
  return found[0];
}
