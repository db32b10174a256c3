// The place where snippets are tried: a `wharf dev` in a folder with a state folder of its own, and
// what is put for the address, key and channel that the pages name.

import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

import { Dev } from '../../browser/dev.mjs';
import { binary } from '../gateway.mjs';
import { Plain, rawUrl, signedUrl, unique, until } from '../sdk/clients.mjs';
import { bash, folder } from './program.mjs';

// The port of `wharf dev`, unless told otherwise.
const PORT = '7000';

export class Place {
  static async start(work) {
    const place = new Place();
    place.work = work;
    place.cwd = folder(work, 'home');
    place.dev = await Dev.start(join(place.cwd, '.wharf'));
    place.port = new URL(place.dev.url).port;
    const { app_code: code, app_id: appId, key, secret, api_key: apiKey } = place.dev.app;
    place.app = { code, appId, key, secret, apiKey };
    place.gateway = { ws: place.dev.url.replace('http', 'ws') };
    place.#programs();
    return place;
  }

  async stop() {
    await this.dev.stop();
  }

  /** The same place for one check, whose clients leave with it. */
  visit() {
    return Object.assign(Object.create(this), { clients: [] });
  }

  async leave() {
    for (const { socket } of this.clients) {
      socket.close();
    }
    await until(() => this.clients.every(client => client.closed), 'the clients to leave');
  }

  /** The snippet with this place's port, and key where the page says `KEY` within an address. */
  here(code) {
    assert.ok(code.includes(PORT), 'it names no port of `wharf dev`');
    return code.replaceAll(PORT, this.port).replaceAll('?key=KEY', `?key=${this.app.key}`);
  }

  /** The same on a channel of its own, for snippets that run beside each other. */
  alone(code) {
    const channel = unique('chat');
    assert.match(code, /=chat\b/, 'it names no channel `chat`');
    return { channel, code: this.here(code).replace(/=chat\b/g, `=${channel}`) };
  }

  /** Names that the JavaScript and Python snippets take as given. */
  get constants() {
    const { key, secret, appId } = this.app;
    return { KEY: key, SECRET: secret, APP_ID: appId };
  }

  /** A command line typed in the folder of `wharf dev`. */
  type(line, env = {}) {
    const PATH = `${join(this.work, 'bin')}:${process.env.PATH}`;
    return bash(this.cwd, line, { PATH, ...env });
  }

  /** A plain client of the raw dialect that listens to `channel`. */
  listener(channel) {
    return this.open(rawUrl(this.gateway, this.app, [['channel', channel]]));
  }

  /** The same, as a user whom the backend signed for. */
  member(channel, user) {
    const query = [
      ['channel', channel],
      ['user_id', user],
    ];
    return this.open(signedUrl(this.gateway, this.app, query));
  }

  async open(url) {
    const client = await Plain.open(url);
    this.clients.push(client);
    return client;
  }

  /** Waits until so many listen to `channel`, the caller's `program` among them. */
  async listeners(channel, count, program) {
    const asked = `${this.dev.url}/v1/apps/${this.app.code}/channels/${channel}`;
    const headers = { authorization: `Bearer ${this.app.apiKey}` };
    const there = async () => {
      const { subscriptions } = await (await fetch(asked, { headers })).json();
      return subscriptions === count || program?.code !== undefined;
    };
    const said = () => `${program?.out ?? ''}${program?.errors ?? ''}`;
    await until(there, `${count} to listen to ${channel}`, 20_000, said);
    assert.equal(program?.code, undefined, `it ended:\n${said()}`);
  }

  /** Under the names by which readers call them. */
  #programs() {
    const bin = join(this.work, 'bin');
    mkdirSync(bin);
    symlinkSync(this.dev.child.spawnfile, join(bin, 'wharf'));
    symlinkSync(binary(), join(bin, 'wharf-gateway'));
  }
}
