// The page that `kith --dev` prints, as a person uses it: two tabs see and hear each other.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { chromium } from 'playwright-core';
import { CHROMIUM_FLAGS } from '../lib/browser.mjs';
import { waitFor } from '../lib/server.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

test('two tabs of the built-in page see and hear each other', async () => {
  const kith = spawn(process.env.KITH_BIN ?? join(root, 'target', 'release', 'kith'), ['--dev'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  kith.stdout.on('data', (chunk) => (printed += chunk));
  kith.stderr.on('data', (chunk) => (printed += chunk));
  const context = await chromium.launchPersistentContext(mkdtempSync(join(tmpdir(), 'kith-page-')), { executablePath: '/usr/bin/chromium', headless: true, args: CHROMIUM_FLAGS });
  try {
    const link = await waitFor(() => printed.match(/http:\/\/localhost:7880\/\S*/)?.[0], { what: 'the link of the page' });
    const tabs = [];
    for (const name of ['Ada', 'Grace']) {
      const page = await context.newPage();
      await page.goto(link);
      await page.fill('#name', name);
      await page.fill('#room', 'living-room');
      await page.click('#join');
      tabs.push(page);
    }
    for (const page of tabs) {
      // Each tab shows two tiles (itself and the other), and the remote video really plays.
      await page.waitForFunction(() => document.querySelectorAll('.tile').length === 2, null, { timeout: 15_000 });
      await page.waitForFunction(() => {
        const remote = document.querySelector('.tile:not(.local) video');
        return remote && remote.videoWidth > 0 && remote.currentTime > 0.5;
      }, null, { timeout: 20_000 });
    }
    await tabs[0].fill('#chat-text', 'Can you see me?');
    await tabs[0].press('#chat-text', 'Enter');
    await tabs[1].waitForFunction(() => document.body.innerText.includes('Can you see me?'), null, { timeout: 5000 });
    // The panel tells codec and resolution of the remote tile.
    await tabs[1].waitForFunction(() => /VP8|VP9|H264|AV1/i.test(document.querySelector('.tile:not(.local)').innerText), null, { timeout: 10_000 });
    if (process.env.KITH_SCREENSHOT) await tabs[1].screenshot({ path: process.env.KITH_SCREENSHOT });
    await tabs[0].close();
    await tabs[1].waitForFunction(() => document.querySelectorAll('.tile').length === 1, null, { timeout: 10_000 });
    // Anything but a browser's GET of text/html gets the health check.
    const health = await fetch('http://localhost:7880/', { headers: { accept: '*/*' } });
    assert.equal(await health.text(), 'OK');
  } finally {
    await context.close();
    kith.kill('SIGTERM');
  }
  await waitFor(() => kith.exitCode !== null || kith.signalCode !== null, { what: 'kith to stop' });
  assert.equal(kith.exitCode, 0);
});
