// How long it takes from a join to the first packet of a track that is published already: round trips, not timers.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startBrowser } from '../lib/browser.mjs';
import { startServer, token, waitFor } from '../lib/server.mjs';

// Chromium's own part (peer connection, certificate, ICE check pacing, DTLS) is the most of it; a fixed delay in the server would show.
const LIMIT_MS = { '2.23.0': 250, '2.15.9': 250 };

let server;
let browser;
before(async () => {
  server = await startServer();
  browser = await startBrowser();
});
after(async () => {
  await browser?.stop();
  await server?.stop();
});

for (const [version, limit] of Object.entries(LIMIT_MS)) {
  test(`livekit-client ${version}: a published track's first packet is there within ${limit} ms of the join`, async () => {
    const room = `latency-${version}`;
    const publisher = await browser.join(version, server.url, await token(room, 'publisher'));
    await publisher.call('publishCamera', { videoCodec: 'vp8' });
    await waitFor(async () => (await publisher.call('sentStats', 'camera')).some((s) => s.frames > 5), { what: 'the publisher to send' });
    const took = [];
    for (let i = 0; i < 7; i += 1) {
      const page = await browser.open(version);
      took.push(Math.round(await page.call('joinUntilFirstPacket', server.url, await token(room, `s${i}`))));
      await page.leave();
    }
    took.sort((a, b) => a - b);
    console.log(`# join to first packet, ${version}, ms: ${took.join(' ')}`);
    assert.ok(took[3] < limit, `median of ${took}`);
    await publisher.leave();
  });
}
