'use strict';
{
  const data = JSON.parse(document.getElementById('data').textContent);
  const byId = id => document.getElementById(id);
  const CHANNEL = /^[A-Za-z0-9_\-=@,.;:/+]{1,200}$/;
  const LINES_MAX = 200;
  const PENDING_MAX = 500;
  const RETRY_FIRST_MS = 500;
  const RETRY_LONGEST_MS = 15000;
  const MASK = '••••••••••••';

  let app = data.apps[0];
  let channel = 'lobby';

  function element(name, properties = {}, children = []) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  // --- two clients ------------------------------------------------------------------------------

  // What was sent and has not come back to both panes: by its content, in order, since nothing is
  // added to what is sent. A channel has one order, so the oldest is the one that arrives.
  const pending = [];

  class Pane {
    constructor(name) {
      this.name = name;
      this.root = byId('pane').content.firstElementChild.cloneNode(true);
      this.root.dataset.name = name;
      const find = selector => this.root.querySelector(selector);
      find('h3').textContent = `Client ${name}`;
      this.stateText = find('.state-text');
      this.trouble = find('.trouble');
      this.log = find('.log');
      this.log.setAttribute('aria-label', `Messages of client ${name}`);
      this.input = find('.composer input');
      this.input.value = `hello from ${name}`;
      this.input.setAttribute('aria-label', `Message of client ${name}`);
      this.button = find('.composer button');
      find('.composer').addEventListener('submit', event => {
        event.preventDefault();
        this.send();
      });
      find('.trouble button').addEventListener('click', () => this.join());
      byId('panes').append(this.root);
    }

    /** Leaves where it was and connects to the channel in force. */
    join() {
      clearTimeout(this.timer);
      this.failures = 0;
      this.log.replaceChildren(
        element('li', { className: 'empty', textContent: `Nothing on ${channel} yet. Press Send.` }),
      );
      this.connect();
    }

    connect() {
      clearTimeout(this.timer);
      this.socket?.close();
      this.trouble.hidden = true;
      this.show('connecting', 'connecting…');
      const socket = new WebSocket(rawUrl(true));
      this.socket = socket;
      socket.binaryType = 'arraybuffer';
      let opened = false;
      // An earlier socket's last words are nobody's business.
      const on = (name, act) =>
        socket.addEventListener(name, event => this.socket === socket && act(event));
      on('open', () => {
        opened = true;
        this.show('connected', `connected to ${channel}`);
      });
      on('message', event => this.arrived(event.data, performance.now()));
      on('close', event => this.closed(event, opened));
    }

    send() {
      const text = this.input.value;
      if (this.socket?.readyState !== WebSocket.OPEN || text === '') {
        return;
      }
      pending.push({ text, from: this.name, at: performance.now(), due: new Set(['A', 'B']) });
      pending.splice(0, pending.length - PENDING_MAX);
      this.socket.send(text);
      // Enter sends it again, typing replaces it.
      this.input.select();
    }

    arrived(content, now) {
      this.failures = 0;
      const isText = typeof content === 'string';
      const sent = isText && pending.find(one => one.text === content && one.due.has(this.name));
      if (!sent) {
        return this.add('other', isText ? content : binary(content), undefined);
      }
      sent.due.delete(this.name);
      if (sent.due.size === 0) {
        pending.splice(pending.indexOf(sent), 1);
      }
      this.add(sent.from, content, now - sent.at);
    }

    add(from, text, took) {
      this.log.querySelector('.empty')?.remove();
      const pinned = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
      const known = took !== undefined;
      const who = element('span', { className: 'who', textContent: known ? from : '⇢' });
      who.dataset.from = from;
      who.title = known ? `sent by client ${from}` : 'sent by somebody else';
      this.log.append(
        element('li', {}, [
          who,
          element('span', { className: 'text', textContent: text }),
          element('span', {
            className: known ? 'took' : 'took none',
            textContent: known ? `${took.toFixed(1)} ms` : 'from elsewhere',
            title: known ? `from Send in client ${from} to here` : 'not sent by this page',
          }),
        ]),
      );
      while (this.log.childElementCount > LINES_MAX) {
        this.log.firstElementChild.remove();
      }
      if (pinned) {
        this.log.scrollTop = this.log.scrollHeight;
      }
    }

    async closed({ code, reason }, opened) {
      for (const sent of pending) {
        sent.due.delete(this.name);
      }
      const socket = this.socket;
      const there = opened || (await isGatewayThere());
      if (this.socket !== socket) {
        return;
      }
      if (!opened && there) {
        return this.stop('The gateway refused the connection. Keys may have changed: load this page again.');
      }
      if (isFinal(code)) {
        return this.stop(`${code} ${reason || 'closed by the gateway'}. ${advice(code)}`);
      }
      const wait = retryAfter(this.failures++);
      const why = there ? `${reason || 'the connection ended'} (${code})` : 'wharf dev is not running';
      this.show('waiting', `${why}; again in ${(wait / 1000).toFixed(1)} s`);
      this.timer = setTimeout(() => this.connect(), wait);
    }

    stop(text) {
      this.show('closed', 'closed');
      this.log.querySelector('.empty')?.remove();
      this.trouble.querySelector('p').textContent = text.trim();
      this.trouble.hidden = false;
    }

    show(state, text) {
      this.root.dataset.state = state;
      this.stateText.textContent = text;
      this.button.disabled = state !== 'connected';
    }
  }

  function rawUrl(publish) {
    const query = new URLSearchParams({ key: app.key, channel });
    if (publish) {
      query.set('publish', channel);
    }
    return `${socketBase()}/a/${app.app_code}/raw?${query}`;
  }

  function socketBase() {
    return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}`;
  }

  function isGatewayThere() {
    return fetch('/', { method: 'GET', cache: 'no-store' }).then(() => true, () => false);
  }

  // As the raw dialect's table of close codes says.
  function isFinal(code) {
    const again = code === 4429 || (code >= 4200 && code < 4300);
    return !again && (code >= 4000 || code === 1002 || code === 1003 || (code >= 1007 && code <= 1010));
  }

  function advice(code) {
    switch (code) {
      case 4401:
        return signing();
      case 4003:
        return 'Which rule decided is in the apps file that this wharf dev reads.';
      case 4403:
      case 4004:
        return 'Keys may have changed: load this page again.';
      default:
        return '';
    }
  }

  // There is nowhere here to put a signed URL: `sub` signs and connects in one go.
  function signing() {
    const { wharf, user, flags } = values(false);
    const there = `${user}${flags}`;
    return `This channel asks for a signature. In a terminal: ${wharf} sub ${channel}${there} · For a client, your backend signs, or: ${wharf} sign url --channel ${channel}${there}`;
  }

  function retryAfter(failures) {
    const longest = Math.min(RETRY_FIRST_MS * 2 ** failures, RETRY_LONGEST_MS);
    return longest * (0.5 + Math.random() / 2);
  }

  function binary(buffer) {
    const bytes = new Uint8Array(buffer);
    const head = [...bytes.subarray(0, 16)].map(byte => byte.toString(16).padStart(2, '0')).join(' ');
    return `${bytes.length} bytes: ${head}${bytes.length > 16 ? ' …' : ''}`;
  }

  // --- addresses and keys -----------------------------------------------------------------------

  const revealed = new Set();

  function rows() {
    const list = [
      ['Any WebSocket library', 'raw', `${socketBase()}/a/${app.app_code}/raw?key=${app.key}&channel=${encodeURIComponent(channel)}`],
      ['Pusher clients', 'pusher-js, laravel-echo', `${socketBase()}/app/${app.key}`],
      ['HTTP API', 'any HTTP client', `${location.origin}/v1/apps/${app.app_code}/publish`],
      ['Pusher server SDKs', `app id ${app.app_id}`, `${location.origin}/apps/${app.app_id}/events`],
      ['Key', 'for clients', app.key],
      ['Secret', 'for your backend, to sign', app.secret, true],
    ];
    if (app.api_key) {
      list.push(['API key', 'for your backend, to publish', app.api_key, true]);
    }
    byId('rows').replaceChildren(...list.map(row));
  }

  function row([label, note, value, secret = false]) {
    const code = element('code');
    const show = () => {
      code.textContent = secret && !revealed.has(label) ? MASK : value;
    };
    show();
    const buttons = [copyButton(label, () => value)];
    if (secret) {
      buttons.unshift(revealButton(label, show));
    }
    return element('div', {}, [
      element('dt', { textContent: label }, [element('small', { textContent: note })]),
      element('dd', {}, [code, ...buttons]),
    ]);
  }

  function revealButton(label, show) {
    const button = element('button', { type: 'button', className: 'reveal' });
    const word = () => {
      button.textContent = revealed.has(label) ? 'Hide' : 'Reveal';
      button.setAttribute('aria-label', `${button.textContent} ${label}`);
    };
    word();
    button.addEventListener('click', () => {
      if (!revealed.delete(label)) {
        revealed.add(label);
      }
      word();
      show();
      snippet();
    });
    return button;
  }

  function copyButton(label, value) {
    const button = element('button', { type: 'button', className: 'copy', textContent: 'Copy' });
    button.setAttribute('aria-label', `Copy ${label}`);
    button.addEventListener('click', () => copy(button, value()));
    return button;
  }

  async function copy(button, text) {
    let said = 'Copied';
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      said = 'Not allowed';
    }
    button.textContent = said;
    byId('said').textContent = said;
    setTimeout(() => {
      button.textContent = 'Copy';
      byId('said').textContent = '';
    }, 1500);
  }

  // --- snippets ---------------------------------------------------------------------------------

  const CLIENTS = [
    ['Browser', 'nothing to install', v => `const ws = new WebSocket('${v.raw}');
ws.onmessage = (message) => console.log(message.data);
ws.onopen = () => ws.send('hello');`],
    ['pusher-js', 'npm install pusher-js', v => `import Pusher from 'pusher-js';

// The cluster is mandatory and ignored.
const pusher = new Pusher('${v.key}', {
  wsHost: '${v.hostname}', wsPort: ${v.port}, forceTLS: false, cluster: 'x', enabledTransports: ['ws'],
});
pusher.subscribe('${v.channel}').bind('message', (data) => console.log(data));`],
    ['Laravel Echo', 'npm install laravel-echo pusher-js', v => `import Echo from 'laravel-echo';
import Pusher from 'pusher-js';

const echo = new Echo({
  broadcaster: 'reverb', key: '${v.key}', wsHost: '${v.hostname}', wsPort: ${v.port}, forceTLS: false,
  enabledTransports: ['ws'], Pusher,
});
echo.channel('${v.channel}').listen('.message', (data) => console.log(data));`],
    ['Node ws', 'npm install ws', v => `import WebSocket from 'ws';

const ws = new WebSocket('${v.raw}');
ws.on('message', (data, isBinary) => console.log(isBinary ? data : data.toString()));
ws.on('open', () => ws.send('hello'));`],
    ['Python', 'pip install websockets', v => `import asyncio, websockets

async def main():
    url = '${v.raw}'
    async with websockets.connect(url) as ws:
        await ws.send('hello')
        async for message in ws:
            print(message)

asyncio.run(main())`],
    ['Go', 'go get github.com/coder/websocket', v => `ctx := context.Background()
url := "${v.raw}"
c, _, err := websocket.Dial(ctx, url, nil)
if err != nil {
	log.Fatal(err)
}
defer c.CloseNow()
if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
	log.Fatal(err)
}
_, payload, err := c.Read(ctx)
fmt.Println(string(payload), err)`],
    ['Java', 'Java 11 or later, nothing to install; in a main that throws Exception', v => `var url = URI.create("${v.raw}");
var ws = HttpClient.newHttpClient().newWebSocketBuilder().buildAsync(url, new WebSocket.Listener() {
    @Override
    public CompletionStage<?> onText(WebSocket ws, CharSequence text, boolean last) {
        System.out.println(text);
        ws.request(1);
        return null;
    }
}).join();
ws.sendText("hello", true);
Thread.sleep(1000);`],
    ['.NET', 'nothing to install', v => `using var ws = new ClientWebSocket();
var url = new Uri("${v.raw}");
await ws.ConnectAsync(url, CancellationToken.None);
await ws.SendAsync("hello"u8.ToArray(), WebSocketMessageType.Text, true, CancellationToken.None);
var buffer = new byte[65536];
var got = await ws.ReceiveAsync(buffer, CancellationToken.None);
Console.WriteLine(Encoding.UTF8.GetString(buffer, 0, got.Count));`],
  ];
  const BACKENDS = [
    ['curl', 'the HTTP API', v => `curl ${v.origin}/v1/apps/${v.code}/publish \\
  -H 'authorization: Bearer ${v.apiKey}' \\
  -H 'content-type: application/json' \\
  -d '{"channel":"${v.channel}","event":"message","data":{"hello":"world"}}'`],
    ['wharf', 'in the folder where wharf dev was started', v => `${v.wharf} sub ${v.channel}${v.user}${v.flags}
${v.wharf} pub ${v.channel} '{"hello":"world"}'${v.flags}`],
    ['Pusher for Node', 'npm install pusher', v => `import Pusher from 'pusher';

const pusher = new Pusher({
  appId: '${v.id}', key: '${v.key}', secret: '${v.secret}',
  host: '${v.hostname}', port: '${v.port}', useTLS: false,
});
await pusher.trigger('${v.channel}', 'message', { hello: 'world' });`],
    ['Pusher for Python', 'pip install pusher', v => `import pusher

client = pusher.Pusher(
    app_id='${v.id}', key='${v.key}', secret='${v.secret}',
    host='${v.hostname}', port=${v.port}, ssl=False)
client.trigger('${v.channel}', 'message', {'hello': 'world'})`],
  ];
  const SNIPPETS = [...CLIENTS, ...BACKENDS];
  let chosen = SNIPPETS[0];

  function values(full) {
    const secret = (label, text) => (full || revealed.has(label) ? text : MASK);
    return {
      raw: rawUrl(true),
      origin: location.origin,
      hostname: location.hostname,
      port: location.port || (location.protocol === 'https:' ? '443' : '80'),
      channel,
      wharf: data.program,
      user: channel.startsWith('presence-') ? ' --user-id 7' : '',
      flags: data.flags + (data.apps.length > 1 ? ` --app ${app.app_code}` : ''),
      code: app.app_code,
      id: app.app_id,
      key: app.key,
      secret: secret('Secret', app.secret),
      apiKey: app.api_key ? secret('API key', app.api_key) : 'YOUR_API_KEY',
    };
  }

  function tabs() {
    for (const [label, list] of [['Clients', CLIENTS], ['Backends', BACKENDS]]) {
      const bar = element('div');
      bar.setAttribute('role', 'tablist');
      bar.setAttribute('aria-label', label);
      bar.append(...list.map(tab));
      bar.addEventListener('keydown', event => step(event, bar));
      const text = element('span', { className: 'tabs-label', textContent: label });
      byId('tabs').append(element('div', { className: 'tabs' }, [text, bar]));
    }
  }

  function tab(one) {
    const button = element('button', { type: 'button', textContent: one[0], id: `tab-${SNIPPETS.indexOf(one)}` });
    button.setAttribute('role', 'tab');
    button.setAttribute('aria-controls', 'snippet');
    button.addEventListener('click', () => choose(one));
    return button;
  }

  function step(event, bar) {
    const all = [...bar.children];
    const at = all.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      const next = all.at(to % all.length);
      next.focus();
      next.click();
    }
  }

  function choose(one) {
    chosen = one;
    const at = SNIPPETS.indexOf(one);
    for (const bar of document.querySelectorAll('[role="tablist"]')) {
      const inBar = [...bar.children];
      const active = inBar.find(button => button.id === `tab-${at}`);
      for (const button of inBar) {
        button.setAttribute('aria-selected', String(button === active));
        button.tabIndex = button === (active ?? inBar[0]) ? 0 : -1;
      }
    }
    byId('snippet').setAttribute('aria-labelledby', `tab-${at}`);
    snippet();
  }

  function snippet() {
    const [, note, code] = chosen;
    byId('snippet-note').textContent = note;
    byId('snippet-code').replaceChildren(...highlight(code(values(false))));
    const { wharf, flags } = values(false);
    byId('terminal').textContent = `${wharf} pub ${channel} '{"hello":"world"}'${flags}`;
  }

  function highlight(text) {
    const parts = text.split(/((?<=^|\s)\/\/[^\n]*|'[^'\n]*'|"[^"\n]*")/gm);
    return parts.map(part => {
      const kind = part.startsWith('//') ? 'comment' : /^['"]/.test(part) ? 'string' : '';
      return kind ? element('span', { className: kind, textContent: part }) : part;
    });
  }

  // --- all of it --------------------------------------------------------------------------------

  const panes = [new Pane('A'), new Pane('B')];

  function join() {
    pending.length = 0;
    rows();
    snippet();
    for (const pane of panes) {
      pane.join();
    }
  }

  byId('channel-form').addEventListener('submit', event => {
    event.preventDefault();
    const name = byId('channel').value.trim();
    const good = CHANNEL.test(name);
    byId('channel').setAttribute('aria-invalid', String(!good));
    byId('channel-error').textContent = good ? '' : 'Use 1 to 200 of A-Z a-z 0-9 _ - = @ , . ; : / +';
    if (good) {
      channel = name;
      join();
    }
  });
  byId('app').append(...data.apps.map(one => element('option', { textContent: one.app_code })));
  byId('app-choice').hidden = data.apps.length < 2;
  byId('app').addEventListener('change', event => {
    app = data.apps[event.target.selectedIndex];
    revealed.clear();
    join();
  });
  for (const button of document.querySelectorAll('[data-copy]')) {
    button.addEventListener('click', () => copy(button, byId(button.dataset.copy).textContent));
  }
  byId('snippet-copy').addEventListener('click', event => copy(event.currentTarget, chosen[2](values(true))));
  byId('version').textContent = data.version;
  byId('metrics').href = `${data.admin_url}/metrics`;
  byId('health').href = `${data.admin_url}/readyz`;
  tabs();
  choose(chosen);
  join();
}
