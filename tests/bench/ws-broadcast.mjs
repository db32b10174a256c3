// The peer of `wharf bench gates`: npm ws, a trivial broadcast server, as people write it.
// What arrives on /pub goes to everyone on /sub; what arrives on /echo goes back.
import { WebSocketServer } from 'ws';

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.env.PORT ?? 9000),
  backlog: 4096,
  perMessageDeflate: false,
});
const subscribers = new Set();

server.on('connection', (socket, request) => {
  const role = new URL(request.url, 'ws://localhost').pathname;
  // A client that resets is a client that left.
  socket.on('error', () => {});
  if (role === '/sub') {
    subscribers.add(socket);
    socket.on('close', () => subscribers.delete(socket));
  } else if (role === '/echo') {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  } else {
    socket.on('message', (data, isBinary) => {
      for (const subscriber of subscribers) subscriber.send(data, { binary: isBinary });
    });
  }
});
server.on('listening', () => console.log(`listening on ${server.address().port}`));
process.on('SIGTERM', () => process.exit(0));
