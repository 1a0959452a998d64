// Where the network drops UDP, media goes over ICE-TCP: the packets to the media port are dropped by nftables.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { startAgent } from '../lib/agent.mjs';
import { startBrowser } from '../lib/browser.mjs';
import { startServer, token } from '../lib/server.mjs';

const PORT = 19880;
const TABLE = 'kith_e2e_no_udp';
const nft = (...args) => execFileSync('nft', args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString();

let server;
let browser;
before(async () => {
  server = await startServer({ port: PORT });
  browser = await startBrowser();
  nft('add', 'table', 'inet', TABLE);
  nft('add', 'chain', 'inet', TABLE, 'input', '{ type filter hook input priority 0 ; }');
  nft('add', 'rule', 'inet', TABLE, 'input', 'udp', 'dport', String(PORT + 2), 'counter', 'drop');
});
after(async () => {
  nft('delete', 'table', 'inet', TABLE);
  await browser?.stop();
  await server?.stop();
});

for (const version of ['2.23.0', '2.15.9']) {
  test(`livekit-client ${version} and Python meet over ICE-TCP`, async () => {
    const room = `tcp-${version}`;
    const python = await startAgent('python', server.url, await token(room, 'python'), { tone: 440, color: [220, 30, 30] });
    const page = await browser.join(version, server.url, await token(room, 'page'));
    await page.call('publishCamera', { videoCodec: 'vp8' });
    await Promise.all([
      page.seesVideo('python', { frames: 20, timeout: 20_000 }), page.hearsAudio('python', { timeout: 20_000 }),
      python.reported((r) => r.kind === 'video' && r.identity === 'page', 'video of the page', 20_000),
    ]);
    await page.call('sendText', 'over TCP');
    await python.gets('page', 'over TCP');
    await Promise.all([python.quit(), page.leave()]);
    assert.match(nft('list', 'table', 'inet', TABLE), /counter packets [1-9]/, 'UDP was tried and dropped');
  });
}
