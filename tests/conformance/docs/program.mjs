// Programs that snippets are made into, each in a folder of its own, and what they say. All that is
// started here ends with the suite.

import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { until } from '../sdk/clients.mjs';
import { python3 } from '../tools.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
// Runtimes start slowly where the processors are busy.
const SAYS_MS = 25_000;
const ENDS_MS = 15_000;
// Without its cache Go compiles TLS and HTTP first; the next run finds what this one left.
const GO_BUILD_MS = 38_000;
const CHROMIUM_FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--enable-logging=stderr',
  // Names resolve to nothing, whoever asks: what a page wants elsewhere it does not get.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

const running = new Set();
process.once('exit', () => running.forEach(program => program.child.kill('SIGKILL')));

/** Thrown where a snippet cannot be tried here; it counts as neither passed nor failed. */
export class NotRun extends Error {}

/** Without `command` on this machine, nothing is tried. */
export function need(command) {
  if (spawnSync('which', [command], { stdio: 'ignore' }).status !== 0) {
    throw new NotRun(`no ${command} here`);
  }
}

export class Program {
  constructor(command, args, { cwd, env = process.env } = {}) {
    this.out = '';
    this.errors = '';
    this.child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(this);
    this.child.stdout.setEncoding('utf8').on('data', text => (this.out += text));
    this.child.stderr.setEncoding('utf8').on('data', text => (this.errors += text));
    const done = code => {
      this.code = code;
      running.delete(this);
    };
    this.child.once('error', error => done(String(error)));
    this.child.once('close', (code, signal) => done(code ?? signal));
  }

  /** Waits for this very line on stdout. */
  async says(line) {
    await this.#until(() => this.out.split('\n').includes(line), `the line ${line}`);
  }

  /** Waits for it on stderr, which is where Chromium writes a page's console. */
  async logs(text) {
    await this.#until(() => this.errors.includes(text), `${text} in the log`);
  }

  /** Waits for its end, which must be with `code`, and resolves to all that it said. */
  async ends(code = 0) {
    const ended = () => this.code !== undefined;
    await until(ended, `the end of ${this.child.spawnfile}`, ENDS_MS).catch(error => {
      this.child.kill('SIGKILL');
      throw error;
    });
    if (this.code !== code) {
      throw new Error(`it ended with ${this.code}:\n${this.out}${this.errors}`);
    }
    return this.out;
  }

  async stop(signal = 'SIGTERM') {
    this.child.kill(signal);
    await until(() => this.code !== undefined, 'its end', ENDS_MS).catch(() => {
      this.child.kill('SIGKILL');
    });
  }

  async #until(condition, what) {
    await until(() => condition() || this.code !== undefined, what, SAYS_MS).catch(() => {});
    if (!condition()) {
      const ended = this.code === undefined ? 'it still runs' : `it ended with ${this.code}`;
      throw new Error(`waited for ${what}; ${ended}:\n${this.out}${this.errors}`);
    }
  }
}

/** A command line as a reader would type it in `cwd`; `env` is added to ours. */
export function bash(cwd, line, env = {}) {
  return new Program('bash', ['-c', line], { cwd, env: { ...cleanEnv(), ...env } });
}

export function node(folder, code) {
  symlinkSync(join(HERE, '..', 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'snippet.mjs'), code);
  return new Program(process.execPath, ['snippet.mjs'], { cwd: folder });
}

export function python(folder, code) {
  writeFileSync(join(folder, 'snippet.py'), code);
  return new Program(python3(), ['-B', '-u', 'snippet.py'], { cwd: folder });
}

export function browser(folder, code) {
  const chromium = process.env.CHROMIUM ?? 'chromium';
  need(chromium);
  const page = join(folder, 'snippet.html');
  writeFileSync(page, `<!doctype html><script>\n${code}</script>`);
  const profile = `--user-data-dir=${join(folder, 'profile')}`;
  return new Program(chromium, [...CHROMIUM_FLAGS, profile, pathToFileURL(page).href]);
}

/** Java reads and runs one file, its language held to that of `version`. */
export function java(folder, version, code) {
  need('javac');
  writeFileSync(join(folder, 'Snippet.java'), code);
  return new Program('java', ['--source', version, 'Snippet.java'], { cwd: folder });
}

export async function go(folder, code) {
  need('go');
  for (const file of ['go.mod', 'go.sum']) {
    copyFileSync(join(HERE, file), join(folder, file));
  }
  writeFileSync(join(folder, 'main.go'), code);
  const env = { ...process.env, GOWORK: 'off', GOTOOLCHAIN: 'local', GOFLAGS: '-buildvcs=false' };
  const call = (...args) => new Program('go', args, { cwd: folder, env });
  await call('mod', 'download')
    .ends()
    .catch(error => {
      throw new NotRun(`its module is not to be had: ${error.message.trim().split('\n').at(-1)}`);
    });
  const build = call('build', '-o', 'snippet', '.');
  await until(() => build.code !== undefined, 'go build', GO_BUILD_MS).catch(async () => {
    await build.stop();
    throw new NotRun(
      `not compiled within ${GO_BUILD_MS / 1000} s; the next run goes on from there`,
    );
  });
  await build.ends();
  return new Program(join(folder, 'snippet'), [], { cwd: folder });
}

/** A new folder below `work`. */
export function folder(work, name) {
  const path = join(work, name);
  mkdirSync(path, { recursive: true });
  return path;
}

/** What the reader's shell has; that of a developer of Wharf may say more. */
function cleanEnv() {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(WHARF|RUST_LOG)/.test(name)),
  );
}
