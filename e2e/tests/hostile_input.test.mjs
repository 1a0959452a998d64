// Two official clients are in a call while strangers send what no client sends. The call goes on, every stranger gets the answer of the protocol or
// none, and memory stays bounded.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { LeaveRequest_Action, SignalResponse } from '@livekit/protocol';
import { startAgent } from '../lib/agent.mjs';
import { bindingRequest, delimited, dial, joinRequest, jwt, many, memory, requests, wrapped } from '../lib/hostile.mjs';
import { binary, startServer, token, waitFor } from '../lib/server.mjs';
import { BINARY, PING, TEXT, frame, open } from '../lib/websocket.mjs';

const PORT = 18880;
const [TCP, UDP, METRICS] = [PORT + 1, PORT + 2, PORT + 3];
/// What all attacks together may add to the resident memory, MiB: 200 unanswered sessions with their subscriber connections at once are most of it.
const MEMORY_GROWTH = 96;
/// What the log may grow to, MiB (at level debug): input of strangers must not fill a disk.
const LOG_SIZE = 32;
const MIB = 1024 * 1024;

let server, python, node, base, slow;
before(async () => {
  server = await startServer({ port: PORT, udpPort: UDP, tcpPort: TCP, extraConfig: `prometheus:\n  port: ${METRICS}\n` });
  [python, node] = await Promise.all([
    startAgent('python', server.url, await token('call', 'python'), { tone: 440 }),
    startAgent('node', server.url, await token('call', 'node'), { tone: 1000 }),
  ]);
  await goesOn();
  base = memory(server.pid);
  slow = startSlow();
});
after(async () => {
  clearInterval(slow?.timer);
  await Promise.allSettled([python?.quit(), node?.quit()]);
  if (server?.alive()) await server.stop();
});
afterEach(async () => {
  for (const session of opened.splice(0)) session.raw.destroy();
  await goesOn();
});

/// Both hear each other's tone now, and data goes both ways.
let round = 0;
async function goesOn() {
  if (!server.alive()) return;
  for (const agent of [python, node]) agent.reports.splice(0, agent.reports.length, ...agent.reports.filter((r) => r.kind === 'joined' || r.kind === 'left'));
  const text = `round ${++round}`;
  python.send({ cmd: 'data', text });
  node.send({ cmd: 'data', text, reliable: false });
  await Promise.all([python.hears('node', 1000, 5000), node.hears('python', 440, 5000), node.gets('python', text, 5000), python.gets('node', text, 5000)]);
}

/// Connections that do nothing or very little, from the start of the test to its end.
function startSlow() {
  const dribbling = Array.from({ length: 50 }, () => dial(PORT, 'GET / HTTP/1.1\r\nHost: x\r\n'));
  const silent = Array.from({ length: 50 }, () => dial(PORT));
  const bodies = Array.from({ length: 50 }, () => dial(PORT, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n'));
  // The first half say nothing, the others part of a frame.
  const ice = Array.from({ length: 500 }, (_, i) => dial(TCP, i < 250 ? null : Buffer.from([0, 100, 0, 1, 0])));
  const timer = setInterval(() => [...dribbling, ...bodies].forEach(({ socket, closed }) => closed || socket.write('X-A: b\r\n')), 1000);
  return { dribbling, silent, bodies, ice, timer, since: Date.now() };
}

const opened = [];
const path = (jwt, { v1, query = '' } = {}) => `/rtc${v1 ? '/v1' : ''}?access_token=${jwt}&protocol=17&sdk=js&auto_subscribe=1${query}`;
const joins = async (room, identity, options = {}) => {
  const session = await open(PORT, path(jwt({ sub: identity, video: { roomJoin: true, room } }), options), options);
  assert.equal(session.status, 101, session.body);
  opened.push(session);
  return session;
};
const said = (name, test = () => true) => (bytes) => {
  const { message } = SignalResponse.fromBinary(bytes);
  return message.case === name && test(message.value);
};
/// Whom an agent takes to be there, of all who came.
const present = (agent) => [...new Map(agent.reports.filter((r) => r.kind === 'joined' || r.kind === 'left').map((r) => [r.identity, r.kind]))].filter(([, kind]) => kind === 'joined').map(([identity]) => identity).filter((identity) => identity !== 'python' && identity !== 'node');
const openSockets = async () => Number((await (await fetch(`http://127.0.0.1:${METRICS}`)).text()).match(/^kith_signal_sockets(?:\{.*\})? (\d+)/m)[1]);
const onlyTheCall = () => waitFor(async () => (await openSockets()) === 2, { what: 'the sockets of strangers to be gone' });

test('tokens that are not ours are refused', async () => {
  const none = { alg: 'none', typ: 'JWT' };
  const hour = 3600;
  const second = Math.floor(Date.now() / 1000);
  const cases = [
    ['', 401, 'no permissions to access the room'],
    ['x', 401, 'invalid authorization token'],
    ['..', 401, 'invalid authorization token'],
    ['a.b', 401, 'invalid authorization token'],
    ['%00%ff.%00.%00', 401, 'invalid authorization token'],
    ['e30.e30.', 401, 'invalid'],
    ['x'.repeat(30_000), 401, 'invalid authorization token'],
    [`${jwt({})}=`, 401, 'invalid authorization token'],
    [jwt({}, { secret: 'another' }), 401, 'invalid authorization token'],
    [jwt({}, { sign: false }), 401, 'invalid authorization token'],
    [jwt({}, { header: none, sign: false }), 401, 'invalid authorization token'],
    [jwt({}, { header: none }), 401, 'invalid authorization token'],
    [jwt({}, { header: { alg: 'None' } }), 401, 'invalid authorization token'],
    [jwt({}, { header: { alg: 'HS512' } }), 401, 'invalid authorization token'],
    [jwt({}, { header: { alg: 'RS256' } }), 401, 'invalid authorization token'],
    [jwt({}, { header: {} }), 401, 'invalid authorization token'],
    [jwt({}, { header: '[' }), 401, 'invalid authorization token'],
    [jwt({ iss: 'stranger' }), 401, 'invalid API key'],
    [jwt({ iss: undefined }), 401, 'invalid API key'],
    [jwt({ exp: second - hour }), 401, 'invalid authorization token'],
    [jwt({ exp: undefined }), 401, 'invalid authorization token'],
    [jwt({ exp: 'soon' }), 401, 'invalid authorization token'],
    [jwt({ exp: -1e300 }), 401, 'invalid authorization token'],
    [jwt({ nbf: second + hour }), 401, 'invalid authorization token'],
    [jwt({ video: undefined }), 401, 'no permissions to access the room'],
    [jwt({ video: 7 }), 401, 'invalid authorization token'],
    [jwt({ video: { roomJoin: 'true', room: 'call' } }), 401, 'invalid authorization token'],
    [jwt({ video: { room: 'call', roomAdmin: true } }), 401, 'permissions denied'],
    [jwt({ video: { roomJoin: true } }), 400, 'no room name'],
    [jwt({ video: { roomJoin: true, room: 'x'.repeat(257) } }), 400, 'room name length exceeds limits'],
    [jwt({ sub: '' }), 400, 'identity cannot be empty'],
    [jwt({ sub: 'x'.repeat(257) }), 400, 'participant identity length exceeds limits'],
    [jwt({ roomConfig: 'x' }), 401, 'invalid authorization token'],
  ];
  for (const [token, status, text] of cases) {
    const handshake = await open(PORT, path(token));
    assert.equal(handshake.status, status, `${token.slice(0, 200)}: ${handshake.body}`);
    assert.ok(handshake.body.startsWith(text), `${token.slice(0, 200)}: ${handshake.body}`);
    const validate = await fetch(`${server.http}${path(token).replace('/rtc', '/rtc/validate')}`);
    assert.deepEqual([validate.status, await validate.text()], [handshake.status, handshake.body]);
  }
  for (const [header, status, text] of [['Basic x', 401, 'invalid authorization header'], ['Bearer', 401, 'invalid authorization header'], ['Bearer junk', 401, 'invalid authorization token']]) {
    const handshake = await open(PORT, path(jwt({})), { headers: { Authorization: header } });
    assert.equal(handshake.status, status);
    assert.ok(handshake.body.startsWith(text), handshake.body);
  }
});

test('join requests that are none are refused', async () => {
  const zeros = Buffer.alloc(30 * MIB);
  const cases = [
    ['', 'join_request is required'],
    ['@@@', 'cannot base64 decode wrapped join request'],
    [Buffer.from([0xff, 0xff]).toString('base64url'), /^cannot (base64 decode|unmarshal) wrapped join request/],
    [Buffer.from([0xff, 0xff, 0xff]).toString('base64url'), 'cannot unmarshal wrapped join request'],
    [wrapped(Buffer.from([0xff, 0xff])), 'cannot unmarshal join request'],
    [wrapped(Buffer.from('no gzip'), true), 'cannot read decompressed join request'],
    [wrapped(gzipSync(Buffer.from('x'.repeat(99))).subarray(0, 20), true), 'cannot read decompressed join request'],
    [wrapped(gzipSync(zeros), true), 'join request too large'],
  ];
  for (const [value, text] of cases) {
    const { status, body } = await open(PORT, path(jwt({}), { v1: true, query: `&join_request=${encodeURIComponent(value)}` }));
    assert.equal(status, 400, body);
    assert.ok(body.match(text), `${value.slice(0, 40)}: ${body}`);
  }
  // Parts of a good one, and bits of it turned over: an answer each time.
  const good = Buffer.from(joinRequest({ metadata: 'm', participantAttributes: { a: 'b' }, addTrackRequests: [{ cid: 'c', type: 1 }] }), 'base64');
  await many(good.length, 16, async (i) => {
    const turned = Buffer.from(good);
    turned[i] ^= 1 << (i % 8);
    for (const bytes of [good.subarray(0, i), turned]) {
      const session = await open(PORT, path(jwt({ sub: `turned ${i}` }), { v1: true, query: `&join_request=${bytes.toString('base64url')}` }));
      assert.ok([101, 400, 401].includes(session.status), `${session.status} ${session.body}`);
      session.raw.destroy();
    }
  });
});

test('requests that are no HTTP, or too much of it, are refused', async () => {
  const head = (line, ...lines) => `${[line, 'Host: x', ...lines].join('\r\n')}\r\n\r\n`;
  const cases = [
    ['\0'.repeat(1000), 400], ['GET\r\n\r\n', 400], [Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, ...Array(600).fill(7)]), 400],
    [head('GET / HTTP/1.1', `X: ${'x'.repeat(200_000)}`), 431], [head(`GET /${'x'.repeat(100_000)} HTTP/1.1`), 414],
    [head('GET / HTTP/1.1', ...Array(500).fill('A: b')), 431],
    [head('POST /twirp/livekit.RoomService/CreateRoom HTTP/1.1', 'Content-Length: 99999999999'), 413],
    [head('POST / HTTP/1.1', 'Content-Length: -1'), 400], [head('POST / HTTP/1.1', 'Content-Length: 1', 'Content-Length: 2'), 400],
    [head('GET /../../etc/passwd HTTP/1.1'), 404], [head('GET /%2e%2e/%00 HTTP/1.1'), 404],
  ];
  for (const [bytes, status] of cases) {
    const stranger = dial(PORT, bytes);
    await waitFor(() => stranger.text || stranger.closed, { what: 'an answer' });
    assert.match(stranger.text, new RegExp(`^HTTP/1.1 ${status} `), bytes.slice(0, 40).toString());
    stranger.socket.destroy();
  }
  for (const headers of [{ 'Sec-WebSocket-Key': null }, { 'Sec-WebSocket-Version': '12' }]) {
    const { status } = await open(PORT, path(jwt({})), { headers });
    assert.ok(status === 400 || status === 426, `${JSON.stringify(headers)}: ${status}`);
  }
  assert.equal((await open(PORT, path(jwt({})), { headers: { Upgrade: 'h2c' } })).status, 404);
});

test('frames that are too large or broken close their socket with the right code', async () => {
  const big = Buffer.alloc(2 * MIB + 1);
  const deflate = { headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' } };
  const cases = [
    ['too large', [frame(BINARY, big)], [1009]],
    ['says that it is huge', [frame(BINARY, Buffer.alloc(10), { length: 2 ** 40 })], [1009]],
    ['too large in fragments', [frame(BINARY, big.subarray(0, MIB), { fin: false }), frame(0, big.subarray(0, MIB), { fin: false }), frame(0, big.subarray(0, MIB))], [1009]],
    ['a bomb', [frame(BINARY, deflateRawSync(Buffer.alloc(64 * MIB)), { rsv1: true })], [1009], deflate],
    ['deflate that is none', [frame(BINARY, Buffer.alloc(50, 0xff), { rsv1: true })], [1002, 1007, 1011], deflate],
    ['compressed without asking', [frame(BINARY, Buffer.alloc(5), { rsv1: true })], [1002]],
    ['unmasked', [frame(BINARY, Buffer.alloc(5), { masked: false })], [1002]],
    ['an unknown opcode', [frame(3, Buffer.alloc(5))], [1002, 1003]],
    ['a long ping', [frame(PING, Buffer.alloc(126))], [1002]],
    ['a ping in fragments', [frame(PING, Buffer.alloc(3), { fin: false })], [1002]],
    ['a continuation of nothing', [frame(0, Buffer.alloc(3))], [1002]],
    ['text that is no UTF-8', [frame(TEXT, Buffer.from([0xff, 0xfe]))], [1007]],
    ['text that is no JSON', [frame(TEXT, Buffer.from('hello'))], [1007]],
    ['deep JSON', [frame(TEXT, Buffer.from('[{"a":'.repeat(50_000)))], [1007]],
    ['JSON of another shape', [frame(TEXT, Buffer.from('{"offer":[1]}'))], [1007]],
    ['bytes that are no protobuf', [frame(BINARY, Buffer.alloc(100, 0xff))], [1007]],
    ['a close frame of one byte', [frame(8, Buffer.from([3]))], [1002, 1005, null]],
  ];
  for (const [name, frames, codes, options] of cases) {
    const session = await joins('frames', name, options);
    for (const bytes of frames) session.raw.write(bytes);
    const code = await session.closed();
    assert.ok(codes.includes(code), `${name}: ${code}`);
    session.raw.destroy();
  }
  // Just as large as is allowed, of a kind that nobody knows: the session goes on.
  const session = await joins('frames', 'large');
  session.send(BINARY, delimited(900, big.subarray(0, 2 * MIB - 7)));
  session.send(BINARY, Buffer.from([0x70, 1]));
  await session.message(said('pong'), 'a pong');
  session.raw.destroy();
});

test('random frames end at most the session that sent them', async () => {
  let seed = 7;
  const random = () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) >>> 8;
  await many(200, 8, async (i) => {
    const session = await joins('call', `random ${i % 8}`);
    for (let n = 0; n < 5 && !session.ended; n += 1) {
      const bytes = Buffer.from(Array.from({ length: random() % 200 }, random));
      if (i % 3 === 0) session.raw.write(bytes);
      else session.send(i % 3 === 1 ? BINARY : TEXT, bytes);
    }
    session.raw.destroy();
  });
});

test('every request with every field absent or at its edges is answered or ignored', async () => {
  const all = [...requests()];
  assert.ok(all.length > 1000);
  let session = null;
  let sessions = 0;
  let next = 0;
  const worker = async (identity) => {
    let own = null;
    for (let sent = 0; next < all.length; sent += 1) {
      const [, bytes] = all[next++];
      if (!own || own.ended) {
        own = await joins('call', identity, next % 2 ? {} : { v1: true, query: `&join_request=${joinRequest({})}` });
        sessions += 1;
      }
      own.send(BINARY, bytes);
      if (sent % 50 === 49) await new Promise((done) => setImmediate(done));
      own.messages.splice(0, own.messages.length - 50);
    }
    if (own && !own.ended) {
      own.send(BINARY, Buffer.from([0x70, 1]));
      await own.message(said('pong'), 'a pong').catch((error) => assert.match(error.message, /closed/));
    }
    own?.raw.destroy();
  };
  await Promise.all(Array.from({ length: 8 }, (_, i) => worker(`edges ${i}`)));
  console.log(`# ${all.length} requests in ${sessions} sessions`);
  // What has an answer gets it.
  session = await joins('edges', 'answers');
  const answers = [
    [4, [], 'trackPublished'], [5, [], 'requestResponse'], [15, [], 'requestResponse'], [16, [], 'pongResp'], [19, [], 'requestResponse'], [20, [], 'requestResponse'],
    [3, [delimited(1, Buffer.from('nonsense'))], 'requestResponse'], [22, [], 'requestResponse'], [23, [], 'requestResponse'], [8, [], 'leave'],
  ];
  for (const [number, fields, answer] of answers) {
    session.messages.length = 0;
    session.send(BINARY, delimited(number, Buffer.concat(fields)));
    await session.message(said(answer), `${answer} to request ${number}`);
  }
  assert.equal(await session.closed(), 1000);
});

const HEAD = 'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n';
const SECURE = `a=ice-ufrag:abcd\r\na=ice-pwd:${'p'.repeat(24)}\r\na=fingerprint:sha-256 ${Array(32).fill('AB').join(':')}\r\na=setup:actpass\r\n`;
const section = (mid, more = '') => `m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:${mid}\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n${SECURE}${more}`;
const OFFERS = {
  'nothing': '',
  'no SDP': 'hello',
  'zeros': '\0'.repeat(10_000),
  'no sections': HEAD,
  'one endless line': `${HEAD}a=${'x'.repeat(1_900_000)}`,
  'lines without end': `${HEAD}${'a=x\r\n'.repeat(300_000)}`,
  'many sections': HEAD + Array.from({ length: 4000 }, (_, i) => section(i)).join(''),
  'one mid for all': HEAD + section(0).repeat(50),
  'no mid, no keys': `${HEAD}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n`,
  'a port out of range': `${HEAD}m=audio 99999999999999999999 UDP/TLS/RTP/SAVPF 111\r\n`,
  'payload types out of range': `${HEAD}m=audio 9 UDP/TLS/RTP/SAVPF ${Array.from({ length: 20_000 }, (_, i) => i).join(' ')}\r\n${SECURE}a=mid:0\r\n`,
  'many codecs': HEAD + section(0, Array.from({ length: 20_000 }, (_, i) => `a=rtpmap:${i % 128} x${i}/${i}\r\na=fmtp:${i % 128} apt=${i}\r\na=rtcp-fb:* x${i}\r\n`).join('')),
  'many sources': HEAD + section(0, Array.from({ length: 20_000 }, (_, i) => `a=ssrc:${i} cname:x\r\na=ssrc-group:FID ${i} ${i + 1}\r\n`).join('')),
  'sources out of range': HEAD + section(0, 'a=ssrc:99999999999 cname:x\r\na=ssrc-group:SIM -1 2 3 4 5 6 7 8 9\r\n'),
  'many candidates': HEAD + section(0, Array.from({ length: 10_000 }, (_, i) => `a=candidate:${i} 1 udp 1 10.0.${i >> 8}.${i & 255} 9 typ host\r\n`).join('')),
  'many header extensions': HEAD + section(0, Array.from({ length: 20_000 }, (_, i) => `a=extmap:${i} urn:${i}\r\n`).join('')),
  'many rids': HEAD + section(0, `${Array.from({ length: 10_000 }, (_, i) => `a=rid:${i} send\r\n`).join('')}a=simulcast:send ${Array.from({ length: 10_000 }, (_, i) => i).join(';')}\r\n`),
  'a fingerprint of nothing': HEAD + section(0).replace(/fingerprint:.*\r\n/, 'fingerprint:sha-256 \r\n'),
  'an unknown fingerprint': HEAD + section(0).replace('sha-256', 'md5'),
  'a long ufrag': HEAD + section(0).replace('ufrag:abcd', `ufrag:${'u'.repeat(100_000)}`),
  'a bundle of strangers': `${HEAD}a=group:BUNDLE ${Array.from({ length: 20_000 }, (_, i) => i).join(' ')}\r\n${section(0)}`,
  'data with odd numbers': `${HEAD}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:d\r\n${SECURE}a=sctp-port:-5\r\na=max-message-size:99999999999999999999\r\n`,
};
const text = (number, value) => delimited(number, Buffer.from(value));
const description = (type, sdp) => Buffer.concat([text(1, type), text(2, sdp), Buffer.from([0x18, 1])]);

test('offers and answers of nonsense and of absurd size cost at most the session', async () => {
  for (const [name, sdp] of Object.entries(OFFERS)) {
    for (const single of [false, true]) {
      const session = await joins('call', `offers ${name}`, single ? { v1: true, query: `&join_request=${joinRequest({})}` } : {});
      await session.message(said('join'), 'join');
      const since = Date.now();
      session.send(BINARY, delimited(1, description('offer', sdp)));
      session.send(BINARY, delimited(2, description('answer', sdp)));
      session.send(BINARY, delimited(1, description(sdp.slice(0, 9), sdp)));
      // Its room has read all of it when it answers this, or it has sent the client away.
      session.send(BINARY, delimited(5, text(1, 'TR_none')));
      await session.message((m) => said('requestResponse')(m) || said('leave')(m), `${name}: a word of the room`).catch((error) => assert.match(error.message, /closed \(10/));
      assert.ok(Date.now() - since < 2000, `${name}: ${Date.now() - since} ms`);
      session.raw.destroy();
    }
  }
});

test('candidates of nonsense are ignored or refused', async () => {
  const session = await joins('call', 'candidates');
  session.send(BINARY, delimited(1, description('offer', HEAD + section(0))));
  await session.message(said('answer'), 'an answer');
  const lines = [
    '', 'candidate:', 'candidate:1 1 udp', 'candidate:1 1 udp 99999999999 127.0.0.1 9 typ host', 'candidate:1 1 udp 1 999.1.1.1 9 typ host', 'candidate:1 1 udp 1 ::1 99999 typ host',
    'candidate:1 1 xxx 1 127.0.0.1 9 typ host', 'candidate:1 9 udp 1 127.0.0.1 9 typ nothing', 'candidate:1 1 udp 1 mdns.local 9 typ host', 'candidate:1 1 tcp 1 127.0.0.1 0 typ host tcptype active',
    'candidate:1 1 udp 1 0.0.0.0 0 typ host', 'candidate:1 1 udp 1 255.255.255.255 9 typ host', 'candidate:1 1 udp 1 224.0.0.1 9 typ host raddr x rport y', 'x'.repeat(4000), '\0\r\n',
  ];
  const inits = [...lines.map((candidate) => JSON.stringify({ candidate, sdpMid: '0', sdpMLineIndex: 0 })), '{"candidate":7}', '{"candidate":"candidate:1 1 udp 1 127.0.0.1 9 typ host","sdpMLineIndex":-7,"sdpMid":{}}', '[', '"'.repeat(5000), 'x'.repeat(1_000_000)];
  for (const init of inits) for (const target of [0, 1, 7]) session.send(BINARY, delimited(3, Buffer.concat([text(1, init), Buffer.from([0x10, target])])));
  for (let i = 0; i < 3000; i += 1) {
    session.send(BINARY, delimited(3, Buffer.concat([text(1, JSON.stringify({ candidate: `candidate:${i} 1 udp 1 127.0.0.${i & 255} ${1024 + i} typ host` })), Buffer.from([0x10, i & 1])])));
  }
  session.send(BINARY, delimited(5, text(1, 'TR_none')));
  await session.message(said('requestResponse', (r) => r.reason === 1), 'the answer after the candidates');
  session.raw.destroy();
});

test('200 clients that join and answer nothing cost bounded memory, and go with their sockets', async () => {
  const sessions = [];
  await many(200, 16, async (i) => {
    const session = await joins(i < 100 ? 'call' : 'unanswered', `mute ${i}`, i % 2 ? {} : { v1: true, query: `&join_request=${joinRequest({ publisherOffer: { type: 'offer', sdp: HEAD + section(0) } })}` });
    await session.message(said('join'), 'join');
    sessions.push(session);
  });
  console.log(`# 200 unanswered sessions: ${JSON.stringify(memory(server.pid))}, at the start ${JSON.stringify(base)}`);
  assert.ok(sessions.every((session) => !session.ended));
  for (const session of sessions) session.raw.destroy();
  await onlyTheCall();
});

test('clients that do not read are held back and let go', async () => {
  const pings = Buffer.concat(Array(2000).fill(frame(BINARY, delimited(16, Buffer.from([8, 1])))));
  const sessions = await Promise.all(Array.from({ length: 10 }, (_, i) => joins('deaf', `deaf ${i}`, { keepReading: false })));
  for (const { raw } of sessions) for (let i = 0; i < 20; i += 1) raw.write(pings);
  // Half a frame that says it is large, and then nothing.
  const halves = await Promise.all(Array.from({ length: 50 }, (_, i) => joins('halves', `half ${i}`)));
  for (const { raw } of halves) raw.write(frame(BINARY, Buffer.alloc(10), { length: 2 * MIB }));
  const late = Array.from({ length: 50 }, () => dial(PORT, `GET ${path(jwt({}))} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`));
  await goesOn();
  for (const { raw } of [...sessions, ...halves]) raw.resetAndDestroy();
  for (const { socket } of late) socket.destroy();
  await onlyTheCall();
});

test('300 quick joins and leaves leave nobody behind', async () => {
  await many(300, 16, async (i) => {
    const session = await joins('call', `quick ${i % 40}`, i % 2 ? {} : { v1: true, query: `&join_request=${joinRequest({})}` });
    if (i % 3 === 0) {
      session.send(BINARY, delimited(8, Buffer.from([0x10, 1])));
      await session.closed();
    } else if (i % 3 === 1) session.raw.end();
    else session.raw.resetAndDestroy();
  });
  // Connections that break off in the handshake.
  await many(100, 16, async (i) => {
    const stranger = dial(PORT, `GET ${path(jwt({ sub: `broken ${i}` }))} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`);
    await waitFor(() => stranger.socket.bytesWritten > 0, { what: 'bytes to go out', every: 1 });
    stranger.socket.resetAndDestroy();
  });
  await onlyTheCall();
  const last = await joins('call', 'last');
  const join = SignalResponse.fromBinary(await last.message(said('join'), 'join')).message.value;
  assert.deepEqual(join.otherParticipants.map((p) => p.identity).sort(), ['node', 'python']);
  last.raw.destroy();
  await waitFor(() => present(python).length + present(node).length === 0, { what: 'everybody who came to have left' })
    .catch((error) => assert.fail(`${error.message}; python: ${present(python)}; node: ${present(node)}`));
});

test('datagrams of strangers are not answered', async () => {
  const sockets = await Promise.all(Array.from({ length: 32 }, () => new Promise((done) => {
    const socket = createSocket('udp4');
    socket.heard = 0;
    socket.on('message', () => (socket.heard += 1));
    socket.bind(0, '127.0.0.1', () => done(socket));
  })));
  const send = (i, bytes) => sockets[i % sockets.length].send(bytes, UDP, '127.0.0.1');
  // Every first byte: STUN, DTLS, TURN channels, RTP, RTCP and what is neither; every second byte once.
  for (let first = 0; first < 256; first += 1) {
    for (const length of [1, 2, 11, 12, 13, 20, 60, 1200]) {
      const bytes = Buffer.alloc(length, first ^ length);
      bytes[0] = first;
      send(first, bytes);
    }
    send(first, Buffer.concat([Buffer.from([0x90, first]), Buffer.alloc(40, 0xff)]));
    await new Promise((done) => setImmediate(done));
  }
  send(0, Buffer.alloc(0));
  send(0, Buffer.alloc(60_000, 0x80));
  const record = (type, epoch, length) => Buffer.concat([Buffer.from([type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 1, length >> 8, length & 255]), Buffer.alloc(200, 1)]);
  for (let type = 20; type < 64; type += 1) for (const epoch of [0, 1]) for (const length of [0, 200, 65_535]) send(type, record(type, epoch, length));
  // Connectivity checks for nobody, 10 000 a second for three seconds.
  const started = Date.now();
  for (let n = 0; n < 30_000; ) {
    const due = Math.min(30_000, (Date.now() - started) * 10);
    for (; n < due; n += 1) send(n, bindingRequest(n % 5 === 0 ? 'x'.repeat(n % 600) : `${(n * 7919).toString(36)}:stranger`));
    await new Promise((done) => setTimeout(done, 2));
  }
  console.log(`# 30000 connectivity checks in ${Date.now() - started} ms`);
  await goesOn();
  assert.equal(sockets.reduce((sum, socket) => sum + socket.heard, 0), 0);
  for (const socket of sockets) socket.close();
});

/// What is sent once a path is open: records, packets and messages that look right and are not.
function* garbage() {
  const record = (type, epoch, length, fill) => Buffer.concat([Buffer.from([type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 1, length >> 8, length & 255]), Buffer.alloc(180, fill)]);
  for (let i = 0; i < 3000; i += 1) {
    yield record(20 + (i % 7), i % 3, i % 2 ? 180 : (i * 31) & 0xffff, i & 255);
    // ClientHello, its lengths at random.
    yield Buffer.concat([Buffer.from([22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, i >> 8, i & 255, 0, 100, 1, 0, 0, i & 255, 0, 0, 0, 0, 0, 0, 0, 88, 0xfe, 0xfd]), Buffer.alloc(86, i)]);
    yield Buffer.concat([Buffer.from([0x80 | (i & 0x3f), i & 255]), Buffer.alloc(i % 200, i)]);
    yield Buffer.from([0x80, 200 + (i % 8), 0, i & 255, ...Array(i % 60).fill(0xff)]);
    yield Buffer.concat([Buffer.from([0, 1, i >> 8, i & 255, 0x21, 0x12, 0xa4, 0x42]), Buffer.alloc(i % 300, i)]);
    yield Buffer.alloc(1 + (i % 1400), i);
  }
}

for (const over of ['UDP', 'TCP']) {
  test(`garbage over an open ${over} path harms nobody`, async () => {
    const session = await joins('call', `open ${over}`, { v1: true, query: `&join_request=${joinRequest({ publisherOffer: { type: 'offer', sdp: HEAD + section(0) } })}` });
    const { sdp } = SignalResponse.fromBinary(await session.message(said('answer'), 'an answer')).message.value;
    const [ufrag, password] = ['ufrag', 'pwd'].map((name) => sdp.match(new RegExp(`a=ice-${name}:(\\S+)`))[1]);
    let answered = 0;
    const hear = (bytes) => (answered += bytes.includes(Buffer.from([0x21, 0x12, 0xa4, 0x42])) ? 1 : 0);
    let send;
    let end;
    if (over === 'UDP') {
      const socket = createSocket('udp4').on('message', hear);
      send = (bytes) => socket.send(bytes, UDP, '127.0.0.1');
      end = () => socket.close();
    } else {
      const { socket } = dial(TCP);
      socket.on('data', hear);
      send = (bytes) => socket.write(Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]));
      end = () => socket.destroy();
    }
    const check = () => send(bindingRequest(`${ufrag}:abcd`, password));
    check();
    await waitFor(() => answered > 0, { what: 'an answer to a connectivity check', timeout: 3000 });
    let n = 0;
    for (const bytes of garbage()) {
      send(bytes);
      if (++n % 100 === 0) await new Promise((done) => setImmediate(done));
    }
    // Whether it still listens to this path.
    const before = answered;
    check();
    await waitFor(() => answered > before, { what: 'an answer after the garbage', timeout: 3000 });
    end();
  });
}

test('ICE-TCP connections with garbage are closed without a word', async () => {
  const framed = (bytes, length = bytes.length) => Buffer.concat([Buffer.from([length >> 8, length & 255]), bytes]);
  const strangers = [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'), framed(Buffer.alloc(0)), framed(Buffer.alloc(100, 0x80)), framed(Buffer.alloc(100, 0x16)), Buffer.alloc(5000, 0xff), framed(bindingRequest('nobody:me')),
    framed(bindingRequest('nobody:me'), 20), framed(bindingRequest('nobody:me'), 65_535), framed(Buffer.alloc(3000, 1), 60_000), framed(Buffer.from([22, 3, 1])), Buffer.alloc(200_000),
  ].map((bytes) => dial(TCP, bytes));
  await waitFor(() => strangers.every(({ closed }) => closed), { what: 'ICE-TCP connections with garbage to be closed', timeout: 12_000 });
  assert.deepEqual(strangers.map(({ received }) => received), strangers.map(() => 0));
});

test('idle connections are closed in time', async () => {
  await waitFor(() => slow.ice.every(({ closed }) => closed), { what: '500 idle ICE-TCP connections to be closed', timeout: 15_000 });
  assert.equal(slow.ice.reduce((sum, { received }) => sum + received, 0), 0);
  const rest = Math.max(0, slow.since + 35_000 - Date.now());
  await waitFor(() => [...slow.dribbling, ...slow.silent, ...slow.bodies].every(({ closed }) => closed), { what: 'slow HTTP connections to be closed', timeout: rest + 1000 });
});

test('memory and log stayed bounded', () => {
  const end = memory(server.pid);
  const log = readFileSync(server.log, 'utf8');
  console.log(`# MiB: at the start ${base.now}, at the end ${end.now}, at most ${end.peak}; log ${(log.length / MIB).toFixed(1)}`);
  assert.ok(end.peak - base.now < MEMORY_GROWTH, `${base.now} MiB at the start, ${end.peak} MiB at most`);
  assert.ok(log.length < LOG_SIZE * MIB, `${log.length} bytes of log`);
  const bad = log.split('\n').filter((line) => (/\b(ERROR|WARN)\b/.test(line.slice(0, 60)) && !line.includes('easy to guess')) || line.includes('panicked'));
  assert.deepEqual([...new Set(bad.map((line) => line.slice(0, 300)))].slice(0, 10), []);
});

test('a second server on the same ports says so and fails', () => {
  for (const [what, args] of [['the HTTP port', ['--port', PORT]], ['the UDP port', ['--port', PORT + 8, '--udp-port', UDP]]]) {
    const { status, stderr, stdout, signal } = spawnSync(binary, ['--dev', '--bind', '127.0.0.1', ...args.map(String)], { encoding: 'utf8', timeout: 5000 });
    assert.ok(status > 0, `${what}: ${status} ${signal} ${stderr} ${stdout}`);
    assert.match(stderr, new RegExp(`${what.includes('UDP') ? UDP : PORT}`), stderr);
    assert.match(stderr, /in use/i);
  }
});

test('a server that is told to stop says goodbye and ends within two seconds', async () => {
  const sessions = await Promise.all(['call', 'call', 'alone'].map((room, i) => joins(room, `stays ${i}`)));
  const stranger = dial(PORT, 'GET / HTTP/1.1\r\n');
  const deaf = await joins('call', 'deaf', { keepReading: false });
  const since = Date.now();
  process.kill(server.pid, 'SIGTERM');
  await Promise.all(sessions.map(async (session) => {
    await session.message(said('leave', (leave) => leave.action === LeaveRequest_Action.DISCONNECT && leave.reason === 3), 'a leave');
    assert.equal(await session.closed(), 1000);
  }));
  await waitFor(() => server.exited(), { what: 'the end', timeout: 8000, every: 5 });
  const took = Date.now() - since;
  assert.deepEqual(server.exited(), { code: 0, signal: null });
  assert.ok(took < 2000, `${took} ms`);
  stranger.socket.destroy();
  deaf.raw.destroy();
});
