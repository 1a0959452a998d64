// Headless Chromium with one page per participant, each with one version of livekit-client.
import { createServer } from 'node:http';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { waitFor } from './server.mjs';

const here = fileURLToPath(new URL('..', import.meta.url));

/// livekit-client versions by the name that tests use, with the npm folder that holds each.
export const VERSIONS = { '2.23.0': 'livekit-client', '2.15.9': 'livekit-client-2-15-9' };

export const CHROMIUM_FLAGS = [
  '--no-sandbox', '--disable-gpu', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync', '--allow-loopback-in-peer-connection',
  '--no-proxy-server', '--host-resolver-rules=MAP * ~NOTFOUND,EXCLUDE 127.0.0.1,EXCLUDE localhost', '--autoplay-policy=no-user-gesture-required',
];

export async function startBrowser() {
  const files = createServer((request, response) => {
    const path = new URL(request.url, 'http://x').pathname;
    const version = path.match(/^\/livekit-client-(.+)\.js$/)?.[1];
    try {
      if (version) {
        response.setHeader('content-type', 'text/javascript');
        response.end(readFileSync(join(here, 'node_modules', VERSIONS[version], 'dist', 'livekit-client.umd.js')));
      } else if (path === '/client.js') {
        response.setHeader('content-type', 'text/javascript');
        response.end(readFileSync(join(here, 'page', 'client.js')));
      } else {
        response.setHeader('content-type', 'text/html');
        response.end(`<!doctype html><title>participant</title><script src="/livekit-client-${path.slice(1)}.js"></script><script src="/client.js"></script><body></body>`);
      }
    } catch (error) {
      response.statusCode = 404;
      response.end(String(error));
    }
  });
  await new Promise((done) => files.listen(0, '127.0.0.1', done));
  const origin = `http://127.0.0.1:${files.address().port}`;
  const context = await chromium.launchPersistentContext(mkdtempSync(join(tmpdir(), 'kith-chromium-')), {
    executablePath: '/usr/bin/chromium', headless: true, args: CHROMIUM_FLAGS, viewport: { width: 1280, height: 800 },
  });
  // The first opener of the fake camera fixes its resolution for all pages.
  const camera = await context.newPage();
  await camera.goto(`${origin}/2.23.0`);
  await camera.evaluate(() => navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720 }, audio: true }).then((s) => (window.kept = s)));

  return {
    context,
    /// A page that has not joined yet.
    async open(version) {
      const page = await context.newPage();
      const console_ = [];
      page.on('console', (message) => console_.push(message.text()));
      page.on('pageerror', (error) => console_.push(`pageerror ${error}`));
      await page.goto(`${origin}/${version}`);
      return participant(page, console_);
    },
    /// A new participant that has joined the room.
    async join(version, url, jwt, options = {}) {
      const joined = await this.open(version);
      await joined.call('join', url, jwt, options);
      return joined;
    },
    async stop() {
      await context.close();
      files.close();
    },
  };
}

function participant(page, console_) {
  const call = (name, ...args) => page.evaluate(([n, a]) => window.k[n](...a), [name, args]);
  return {
    page,
    console: console_,
    call,
    leave: async () => {
      await call('leave');
      await page.close();
    },
    /// Waits until at least `frames` more frames of `identity`'s video were decoded; gives the stats then.
    async seesVideo(identity, { frames = 5, timeout = 15_000, source = 'camera' } = {}) {
      let first = null;
      return waitFor(async () => {
        const stats = await call('videoStats', identity, source);
        if (!stats) return null;
        first ??= stats.framesDecoded;
        return stats.framesDecoded >= first + frames ? stats : null;
      }, { what: `${frames} decoded frames of ${identity}`, timeout });
    },
    async hearsAudio(identity, { timeout = 10_000 } = {}) {
      let first = null;
      return waitFor(async () => {
        const stats = await call('audioStats', identity);
        if (!stats) return null;
        first ??= stats.totalAudioEnergy;
        return stats.totalAudioEnergy > first + 1e-5 ? stats : null;
      }, { what: `audio energy of ${identity}`, timeout });
    },
  };
}
