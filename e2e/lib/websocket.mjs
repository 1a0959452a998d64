// A WebSocket client on a bare socket that can also do what a client must not.
import { connect } from 'node:net';
import { randomBytes } from 'node:crypto';
import { waitFor } from './server.mjs';

export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;

/// One frame. `length` is what the header says, whatever `payload` has.
export function frame(opcode, payload = Buffer.alloc(0), { fin = true, rsv1 = false, masked = true, length = payload.length } = {}) {
  const first = (fin ? 0x80 : 0) | (rsv1 ? 0x40 : 0) | opcode;
  const mask = masked ? 0x80 : 0;
  let header;
  if (length < 126) header = Buffer.from([first, mask | length]);
  else if (length < 65536) header = Buffer.from([first, mask | 126, length >> 8, length & 0xff]);
  else {
    header = Buffer.alloc(10);
    header[0] = first;
    header[1] = mask | 127;
    header.writeBigUInt64BE(BigInt(length), 2);
  }
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([header, masked ? Buffer.alloc(4) : Buffer.alloc(0), payload]);
}

/// Opens a connection and asks for `path`. Gives {status, body} when that is refused, else a session: `send`, `raw` (the socket), `messages`
/// (payloads that came), `ended` ({code} of the close frame or {code: null}) and waits for both.
export async function open(port, path, { headers = {}, keepReading = true } = {}) {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  const asked = {
    Host: `127.0.0.1:${port}`, Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': randomBytes(16).toString('base64'), ...headers,
  };
  const lines = Object.entries(asked).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
  let got = Buffer.alloc(0);
  let closed = false;
  socket.on('close', () => (closed = true));
  const session = { raw: socket, status: 0, body: '', messages: [], ended: null };
  const read = () => {
    while (session.status === 101 && got.length >= 2) {
      let length = got[1] & 0x7f;
      let at = 2;
      if (length === 126) [length, at] = [got.length >= 4 ? got.readUInt16BE(2) : Infinity, 4];
      else if (length === 127) [length, at] = [got.length >= 10 ? Number(got.readBigUInt64BE(2)) : Infinity, 10];
      if (got.length < at + length) return;
      const [opcode, payload] = [got[0] & 0x0f, got.subarray(at, at + length)];
      got = got.subarray(at + length);
      if (opcode === CLOSE) {
        session.ended ??= { code: payload.length >= 2 ? payload.readUInt16BE(0) : 1005 };
        socket.end(frame(CLOSE, payload));
      } else if (opcode === BINARY || opcode === TEXT) session.messages.push(payload);
    }
  };
  socket.on('data', (chunk) => {
    got = Buffer.concat([got, chunk]);
    if (session.status === 0) {
      const end = got.indexOf('\r\n\r\n');
      if (end < 0) return;
      session.head = got.subarray(0, end).toString('latin1');
      session.status = Number(session.head.split(' ')[1]);
      got = got.subarray(end + 4);
      if (session.status === 101 && !keepReading) socket.pause();
    }
    read();
  });
  socket.on('close', () => (session.ended ??= { code: null }));
  session.send = (opcode, payload, options) => socket.write(frame(opcode, payload, options));
  session.closed = async (timeout = 5000) => {
    await waitFor(() => session.ended, { what: 'the end of a WebSocket', timeout, every: 5 });
    return session.ended.code;
  };
  session.message = (test, what, timeout = 5000) =>
    waitFor(() => {
      const found = session.messages.find(test);
      if (!found && session.ended) throw new Error(`closed (${session.ended.code}) before ${what}`);
      return found;
    }, { what, timeout, every: 5 });
  const full = () => got.length >= Number(session.head?.match(/content-length: (\d+)/i)?.[1] ?? 0);
  await waitFor(() => closed || session.status === 101 || (session.status !== 0 && full()), { what: `an answer to ${path.slice(0, 60)}`, timeout: 10_000, every: 2 });
  if (session.status !== 101) {
    session.body = got.toString();
    socket.destroy();
  }
  return session;
}
