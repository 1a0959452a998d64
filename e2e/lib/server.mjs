// Starts one kith server for a test file and stops it again, by its pid.
import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync, createWriteStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AccessToken } from 'livekit-server-sdk';

export const API_KEY = 'devkey';
export const API_SECRET = 'secret';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const binary = process.env.KITH_BIN ?? join(root, 'target', 'release', 'kith');

export async function startServer({ port = 17880, udpPort = port + 2, tcpPort = port + 1, extraConfig = '' } = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'kith-e2e-'));
  const config = join(dir, 'kith.yaml');
  writeFileSync(
    config,
    `port: ${port}\nbind_addresses: ["127.0.0.1"]\nkeys:\n  ${API_KEY}: ${API_SECRET}\n` +
      `rtc:\n  udp_port: ${udpPort}\n  tcp_port: ${tcpPort}\n  node_ip: 127.0.0.1\n  enable_loopback_candidate: true\n` +
      `logging:\n  level: debug\n${extraConfig}`,
  );
  const log = join(dir, 'kith.log');
  const child = spawn(binary, ['--config', config, ...(process.env.KITH_ARGS ?? '').split(' ').filter(Boolean)], { stdio: ['ignore', 'pipe', 'pipe'] });
  const sink = createWriteStream(log);
  child.stdout.pipe(sink, { end: false });
  child.stderr.pipe(sink, { end: false });
  let exited = null;
  child.on('exit', (code, signal) => (exited = { code, signal }));
  const http = `http://127.0.0.1:${port}`;
  await waitFor(async () => {
    if (exited) throw new Error(`kith ended at once: ${JSON.stringify(exited)}; see ${log}`);
    try {
      return (await fetch(http)).status === 200;
    } catch {
      return false;
    }
  }, { what: 'kith to answer on /', timeout: 10_000 });
  return {
    url: `ws://127.0.0.1:${port}`,
    http,
    log,
    pid: child.pid,
    alive: () => exited === null,
    exited: () => exited,
    async stop() {
      if (exited) throw new Error(`kith died during the test: ${JSON.stringify(exited)}; see ${log}`);
      child.kill('SIGTERM');
      await waitFor(() => exited, { what: 'kith to stop on SIGTERM', timeout: 10_000 });
      if (exited.code !== 0) throw new Error(`kith stopped with ${JSON.stringify(exited)}; see ${log}`);
    },
  };
}

export async function token(room, identity, { grants = {}, ...options } = {}) {
  const at = new AccessToken(API_KEY, API_SECRET, { identity, ttl: '1h', ...options });
  at.addGrant({ roomJoin: true, room, ...grants });
  return at.toJwt();
}

/// Polls `probe` until it gives something truthy, and gives that back.
export async function waitFor(probe, { what, timeout = 10_000, every = 50 }) {
  const until = Date.now() + timeout;
  let last;
  for (;;) {
    last = await probe();
    if (last) return last;
    if (Date.now() > until) throw new Error(`waited ${timeout} ms in vain for ${what}`);
    await new Promise((done) => setTimeout(done, every));
  }
}
