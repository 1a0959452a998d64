// Python, Node and browser clients in one room: tones, colours and data are compared, not only counted.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startAgent } from '../lib/agent.mjs';
import { startBrowser } from '../lib/browser.mjs';
import { startServer, token, waitFor } from '../lib/server.mjs';

const RED = [220, 30, 30];
const BLUE = [30, 30, 220];
let server;
before(async () => (server = await startServer()));
after(async () => server?.stop());

for (const [kinds, room] of [[['python', 'python'], 'two-python'], [['node', 'node'], 'two-node'], [['python', 'node'], 'python-node']]) {
  test(`${kinds.join(' and ')} hear each other's tone, see each other's colour and exchange data`, async () => {
    const a = await startAgent(kinds[0], server.url, await token(room, 'a'), { tone: 440, color: RED });
    const b = await startAgent(kinds[1], server.url, await token(room, 'b'), { tone: 1000, color: BLUE });
    await Promise.all([a.hears('b', 1000), b.hears('a', 440), a.sees('b', BLUE), b.sees('a', RED)]);
    for (const [from, to, name] of [[a, b, 'a'], [b, a, 'b']]) {
      for (const reliable of [true, false]) {
        const text = `${name} ${reliable ? 'reliable' : 'lossy'}`;
        from.send({ cmd: 'data', text, reliable, topic: 'chat' });
        const got = await to.gets(name, text);
        assert.equal(got.topic, 'chat');
      }
    }
    await a.quit();
    await b.reported((r) => r.kind === 'left' && r.identity === 'a', 'a left', 5000);
    await b.quit();
  });
}

test('browser, Python and Node meet in one room', async () => {
  const browser = await startBrowser();
  try {
    const room = 'mixed';
    const python = await startAgent('python', server.url, await token(room, 'python'), { tone: 440, color: RED });
    const page = await browser.join('2.23.0', server.url, await token(room, 'page'));
    const old = await browser.join('2.15.9', server.url, await token(room, 'old'));
    const node = await startAgent('node', server.url, await token(room, 'node'), { tone: 1000, color: BLUE });
    await page.call('publishCamera', { videoCodec: 'vp8' });
    await page.call('publishMicrophone');
    await Promise.all([
      python.hears('node', 1000), node.hears('python', 440), python.sees('node', BLUE), node.sees('python', RED),
      page.seesVideo('python'), page.seesVideo('node'), page.hearsAudio('python'), page.hearsAudio('node'),
      old.seesVideo('python'), old.seesVideo('node'), old.seesVideo('page'), old.hearsAudio('page'),
      python.reported((r) => r.kind === 'video' && r.identity === 'page' && Math.abs(r.width / r.height - 16 / 9) < 0.02, 'video of the page', 20_000),
      node.reported((r) => r.kind === 'video' && r.identity === 'page', 'video of the page', 20_000),
    ]);
    python.send({ cmd: 'data', text: 'to the page only', to: ['page'] });
    node.send({ cmd: 'data', text: 'to all' });
    await page.call('sendText', 'from the page');
    await Promise.all([python.gets('node', 'to all'), python.gets('page', 'from the page'), node.gets('page', 'from the page')]);
    await waitFor(async () => (await page.call('seen')).data.length >= 2, { what: 'both messages on the page' });
    assert.deepEqual((await page.call('seen')).data.map((d) => [d.from, d.text]).sort(), [['node', 'to all'], ['python', 'to the page only']]);
    assert.deepEqual((await old.call('seen')).data.map((d) => d.text).filter((t) => t === 'to the page only'), []);
    assert.ok(!node.reports.some((r) => r.text === 'to the page only'));
    await Promise.all([python.quit(), node.quit(), page.leave(), old.leave()]);
  } finally {
    await browser.stop();
  }
});
