// Bytes that no honest client sends, and the measures of what they do to a server.
import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
// Comes with livekit-server-sdk.
import { JoinRequest, SignalRequest, WrappedJoinRequest, WrappedJoinRequest_Compression } from '@livekit/protocol';
import { API_KEY, API_SECRET } from './server.mjs';

const encode = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);

/// A token of this header and these claims; `sign` false leaves the signature away.
export function jwt(claims, { header = { alg: 'HS256', typ: 'JWT' }, secret = API_SECRET, sign = true } = {}) {
  const text = `${encode(header)}.${encode({ iss: API_KEY, sub: 'stranger', exp: now() + 600, video: { roomJoin: true, room: 'call' }, ...claims })}`;
  return `${text}.${sign ? createHmac('sha256', secret).update(text).digest('base64url') : ''}`;
}

/// The value of `join_request`.
export function wrapped(bytes, gzip = false) {
  const compression = gzip ? WrappedJoinRequest_Compression.GZIP : WrappedJoinRequest_Compression.NONE;
  return Buffer.from(new WrappedJoinRequest({ compression, joinRequest: bytes }).toBinary()).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

export const joinRequest = (fields) => wrapped(new JoinRequest({ clientInfo: { sdk: 1, protocol: 17 }, connectionSettings: { autoSubscribe: true }, ...fields }).toBinary());

const varint = (value) => {
  const bytes = [];
  for (let rest = BigInt.asUintN(64, BigInt(value)); ; rest >>= 7n) {
    if (rest < 128n) return Buffer.from([...bytes, Number(rest)]);
    bytes.push(Number(rest & 127n) | 128);
  }
};
export const delimited = (number, payload) => Buffer.concat([varint((number << 3) | 2), varint(payload.length), payload]);
const scalar = (number, value) => Buffer.concat([varint(number << 3), varint(value)]);

const LONG = Buffer.alloc(20_000, 'x');
const NUMBERS = [0, 1, -1, 2n ** 63n - 1n, 2n ** 31n, 12_345];
const FLOATS = [Buffer.alloc(8, 0xff), Buffer.alloc(8), Buffer.from([0, 0, 0, 0, 0, 0, 0xf0, 0x7f])];
const [TYPE_DOUBLE, TYPE_FLOAT, TYPE_STRING, TYPE_BYTES] = [1, 2, 9, 12];

/// Every field of a message type alone, with values at the edges of its type and of the wrong type; messages in it likewise, three deep.
function* fieldsOf(type, depth = 0) {
  yield Buffer.alloc(0);
  for (const field of type.fields.list()) {
    const no = field.no;
    yield delimited(no, Buffer.from([0xff, 0xff, 0xff]));
    if (field.kind === 'message') {
      if (depth < 3) for (const inner of fieldsOf(field.T, depth + 1)) yield delimited(no, inner);
    } else if (field.kind === 'map') {
      for (const entry of [Buffer.alloc(0), delimited(1, Buffer.from('k')), delimited(2, LONG), Buffer.concat([delimited(1, LONG), delimited(2, LONG)])]) yield delimited(no, entry);
    } else if (field.kind === 'scalar' && (field.T === TYPE_STRING || field.T === TYPE_BYTES)) {
      for (const text of [Buffer.alloc(0), Buffer.from('nobody'), Buffer.from('\0\n\r"\\'), Buffer.from([0xed, 0xa0, 0x80]), LONG]) yield delimited(no, text);
    } else if (field.kind === 'scalar' && (field.T === TYPE_DOUBLE || field.T === TYPE_FLOAT)) {
      const [wire, size] = field.T === TYPE_DOUBLE ? [1, 8] : [5, 4];
      for (const bytes of FLOATS) yield Buffer.concat([varint((no << 3) | wire), bytes.subarray(8 - size)]);
    } else {
      for (const value of NUMBERS) yield scalar(no, value);
      yield Buffer.concat([varint((no << 3) | 5), Buffer.alloc(4, 0xff)]);
    }
  }
}

/// Every kind of request with every field absent, and with each field at its edges. [name, bytes]
export function* requests() {
  for (const field of SignalRequest.fields.list()) {
    if (field.kind === 'message') for (const message of fieldsOf(field.T)) yield [field.name, delimited(field.no, message)];
    else for (const value of NUMBERS) yield [field.name, scalar(field.no, value)];
  }
  yield ['none', Buffer.alloc(0)];
  yield ['of a newer client', delimited(900, Buffer.from('new'))];
}

const crc32 = (bytes) => {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
};

/// A STUN binding request for `username`; with the right `password` it is a connectivity check that the server answers.
export function bindingRequest(username, password = 'wrong') {
  const attribute = (type, value) => Buffer.concat([Buffer.from([type >> 8, type & 255, value.length >> 8, value.length & 255]), value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
  let body = Buffer.concat([attribute(6, Buffer.from(username)), attribute(0x24, Buffer.from([0x6e, 0, 1, 0xff])), attribute(0x802a, Buffer.alloc(8, 9)), attribute(0x25, Buffer.alloc(0))]);
  const id = randomBytes(12);
  const message = (rest) => Buffer.concat([Buffer.from([0, 1, (body.length + rest) >> 8, (body.length + rest) & 255, 0x21, 0x12, 0xa4, 0x42]), id, body]);
  body = Buffer.concat([body, attribute(8, createHmac('sha1', password).update(message(24)).digest())]);
  const fingerprint = Buffer.alloc(4);
  fingerprint.writeUInt32BE((crc32(message(8)) ^ 0x5354554e) >>> 0);
  body = Buffer.concat([body, attribute(0x8028, fingerprint)]);
  return message(0);
}

/// A bare connection: what came and whether the other side ended it.
export function dial(port, bytes) {
  const socket = connect({ host: '127.0.0.1', port });
  const state = { socket, received: 0, text: '', closed: false };
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    state.received += chunk.length;
    if (state.text.length < 4096) state.text += chunk.toString('latin1');
  });
  socket.on('end', () => (state.closed = true));
  socket.on('close', () => (state.closed = true));
  if (bytes) socket.write(bytes);
  return state;
}

/// Resident and highest resident memory of a process, MiB.
export function memory(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mib = (name) => Number(status.match(new RegExp(`${name}:\\s+(\\d+) kB`))[1]) / 1024;
  return { now: mib('VmRSS'), peak: mib('VmHWM') };
}

/// Runs `work(i)` for 0 ≤ i < count, `parallel` at a time.
export async function many(count, parallel, work) {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}
