// Two Chromium participants on unmodified livekit-client, over /rtc/v1 (one peer connection) and /rtc (two).
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startBrowser } from '../lib/browser.mjs';
import { startServer, token, waitFor } from '../lib/server.mjs';

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

let rooms = 0;
const newRoom = (name) => `${name}-${(rooms += 1)}`;
const join = async (version, room, identity, options) => browser.join(version, server.url, await token(room, identity), options);

for (const version of ['2.23.0', '2.15.9']) {
  describe(`livekit-client ${version}`, () => {
    test('an empty room is joined and left', async () => {
      const room = newRoom('solo');
      const a = await join(version, room, 'a');
      assert.deepEqual(await a.call('participants'), []);
      await a.leave();
    });

    for (const codec of ['vp8', 'h264', 'vp9', 'av1']) {
      test(`${codec} video and Opus audio reach the other side`, async () => {
        const room = newRoom(codec);
        const [a, b] = await Promise.all([join(version, room, 'a'), join(version, room, 'b')]);
        await a.call('publishCamera', { videoCodec: codec, backupCodec: false, scalabilityMode: undefined });
        await a.call('publishMicrophone');
        const video = await b.seesVideo('a', { frames: 20 });
        assert.equal(video.codec.toLowerCase(), `video/${codec}`);
        assert.equal(video.width / video.height, 1280 / 720);
        await b.hearsAudio('a');
        await a.leave();
        await waitFor(async () => (await b.call('seen')).left.includes('a'), { what: 'b to notice that a left', timeout: 2000 });
        await b.leave();
      });
    }

    test('a late joiner sees video in under two seconds', async () => {
      const room = newRoom('late');
      const a = await join(version, room, 'a');
      await a.call('publishCamera', { videoCodec: 'vp8' });
      await waitFor(async () => (await a.call('sentStats', 'camera')).some((s) => s.frames > 5), { what: 'a to send' });
      const started = Date.now();
      const b = await join(version, room, 'b');
      await b.seesVideo('a', { frames: 1, timeout: 5000 });
      const took = Date.now() - started;
      assert.ok(took < 2000, `first frames after ${took} ms, page load included`);
      await Promise.all([a.leave(), b.leave()]);
    });

    test('mute and unmute are seen and media comes back', async () => {
      const room = newRoom('mute');
      const [a, b] = await Promise.all([join(version, room, 'a'), join(version, room, 'b')]);
      await a.call('publishCamera', { videoCodec: 'vp8' });
      await a.call('publishMicrophone');
      await b.seesVideo('a');
      for (const source of ['camera', 'microphone']) await a.call('mute', source, true);
      await waitFor(async () => (await b.call('seen')).muted.length === 2, { what: 'both mutes', timeout: 3000 });
      for (const source of ['camera', 'microphone']) await a.call('mute', source, false);
      await waitFor(async () => (await b.call('seen')).unmuted.length === 2, { what: 'both unmutes', timeout: 3000 });
      await b.seesVideo('a', { frames: 10 });
      await b.hearsAudio('a');
      await Promise.all([a.leave(), b.leave()]);
    });

    test('asking for low and high quality changes the received resolution within three seconds', async () => {
      const room = newRoom('simulcast');
      const [a, b] = await Promise.all([join(version, room, 'a'), join(version, room, 'b')]);
      await a.call('publishCamera', {
        videoCodec: 'vp8', simulcast: true, videoEncoding: { maxBitrate: 300_000, maxFramerate: 20 },
        videoSimulcastLayers: [{ width: 320, height: 180, encoding: { maxBitrate: 100_000, maxFramerate: 20 } }, { width: 640, height: 360, encoding: { maxBitrate: 150_000, maxFramerate: 20 } }].map((p) => ({ ...p, resolution: { width: p.width, height: p.height, frameRate: 20 } })),
      });
      const widthBecomes = (width, timeout) => waitFor(async () => (await b.call('videoStats', 'a', 'camera'))?.width === width, { what: `width ${width}`, timeout });
      await widthBecomes(1280, 20_000);
      await b.call('setQuality', 'a', 'LOW');
      await widthBecomes(320, 3000);
      await b.seesVideo('a', { frames: 10 });
      await b.call('setQuality', 'a', 'HIGH');
      await widthBecomes(1280, 3000);
      await b.seesVideo('a', { frames: 10 });
      await Promise.all([a.leave(), b.leave()]);
    });

    test('VP9 and AV1 SVC decode with all layers', async () => {
      for (const codec of ['vp9', 'av1']) {
        const room = newRoom(`svc-${codec}`);
        const [a, b] = await Promise.all([join(version, room, 'a'), join(version, room, 'b')]);
        await a.call('publishCamera', { videoCodec: codec, simulcast: true, backupCodec: false, scalabilityMode: 'L3T3_KEY' });
        await b.seesVideo('a', { frames: 20, timeout: 20_000 });
        await Promise.all([a.leave(), b.leave()]);
      }
    });

    test('data goes both ways, a thousand reliable messages of 10 kB in order', async () => {
      const room = newRoom('data');
      const [a, b] = await Promise.all([join(version, room, 'a'), join(version, room, 'b')]);
      await waitFor(async () => (await a.call('participants')).length === 1 && (await b.call('participants')).length === 1, { what: 'both to see each other' });
      await a.call('sendText', 'hello from a', { topic: 'greeting' });
      await b.call('sendText', 'hello from b', { reliable: false });
      const first = await waitFor(async () => (await b.call('seen')).data[0], { what: "a's greeting" });
      assert.equal(first.text, 'hello from a');
      assert.equal(first.from, 'a');
      assert.equal(first.topic, 'greeting');
      await waitFor(async () => (await a.call('seen')).data.some((d) => d.text === 'hello from b' && d.from === 'b'), { what: "b's lossy greeting" });
      await a.call('sendNumbered', 1000, 10_000);
      await waitFor(async () => (await b.call('numberedFrom', 'a')).length >= 1000, { what: 'a thousand messages', timeout: 30_000 });
      assert.deepEqual(await b.call('numberedFrom', 'a'), Array.from({ length: 1000 }, (_, i) => i));
      assert.deepEqual(await a.call('numberedFrom', 'b'), []);
      await Promise.all([a.leave(), b.leave()]);
    });

    test('unsubscribing stops a track and subscribing brings it back', async () => {
      const room = newRoom('subscription');
      const [a, b] = await Promise.all([join(version, room, 'a'), join(version, room, 'b')]);
      await a.call('publishCamera', { videoCodec: 'vp8' });
      await b.seesVideo('a');
      await b.call('setSubscribed', 'a', false);
      await waitFor(async () => (await b.call('videoStats', 'a', 'camera')) === null, { what: 'the track to go', timeout: 3000 });
      await b.call('setSubscribed', 'a', true);
      await b.seesVideo('a', { frames: 10 });
      await a.call('unpublish', 'camera');
      await waitFor(async () => (await b.call('videoStats', 'a', 'camera')) === null, { what: 'the unpublished track to go', timeout: 3000 });
      await a.call('publishCamera', { videoCodec: 'vp8' });
      await b.seesVideo('a', { frames: 10 });
      await Promise.all([a.leave(), b.leave()]);
    });
  });
}

test('both versions meet in one room and hear each other speak', async () => {
  const room = newRoom('both');
  const [a, b] = await Promise.all([join('2.23.0', room, 'new'), join('2.15.9', room, 'old')]);
  await Promise.all([a, b].map((p) => p.call('publishMicrophone')));
  await Promise.all([a, b].map((p) => p.call('publishCamera', { videoCodec: 'vp8' })));
  await a.seesVideo('old');
  await b.seesVideo('new');
  await a.hearsAudio('old');
  await b.hearsAudio('new');
  await waitFor(async () => (await a.call('seen')).speakers.some((list) => list.includes('old')), { what: 'old to be an active speaker', timeout: 10_000 });
  await Promise.all([a.leave(), b.leave()]);
});
