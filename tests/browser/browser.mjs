// Chromium with a profile of its own that speaks to nobody by itself, and notes what pages do.

import { chromium } from 'playwright-core';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Names resolve to nothing, whoever asks: what a page wants elsewhere it does not get.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

export class Browser {
  static async start(executablePath, profile) {
    const browser = new Browser();
    browser.requests = [];
    browser.errors = [];
    browser.context = await chromium.launchPersistentContext(profile, {
      executablePath,
      headless: true,
      args: FLAGS,
      viewport: { width: 1200, height: 900 },
      permissions: ['clipboard-read', 'clipboard-write'],
    });
    browser.context.setDefaultTimeout(5_000);
    browser.context.on('request', request => browser.requests.push(request.url()));
    return browser;
  }

  async open(url) {
    const page = await this.context.newPage();
    page.on('websocket', socket => this.requests.push(socket.url()));
    page.on('pageerror', error => this.errors.push(String(error)));
    page.on('console', message => {
      if (['error', 'warning'].includes(message.type())) {
        this.errors.push(message.text());
      }
    });
    this.answer = await page.goto(url);
    return page;
  }

  async stop() {
    await this.context.close();
  }
}
