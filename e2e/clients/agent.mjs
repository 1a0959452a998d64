// One participant on npm `@livekit/rtc-node`; the same orders and reports as agent.py.
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import {
  AudioFrame, AudioSource, AudioStream, LocalAudioTrack, LocalVideoTrack, Room, RoomEvent, TrackKind, TrackPublishOptions, TrackSource, VideoBufferType, VideoCodec,
  VideoFrame, VideoSource, VideoStream, dispose,
} from '@livekit/rtc-node';

const RATE = 48_000;
const WIDTH = 320;
const HEIGHT = 240;
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const { values, positionals } = parseArgs({ allowPositionals: true, options: { tone: { type: 'string' }, color: { type: 'string' } } });
const [url, token] = positionals;
const room = new Room();

async function publishTone(hz) {
  const source = new AudioSource(RATE, 1);
  const track = LocalAudioTrack.createAudioTrack('tone', source);
  await room.localParticipant.publishTrack(track, new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE }));
  const samples = RATE / 100;
  for (let n = 0; running; n += samples) {
    const pcm = Int16Array.from({ length: samples }, (_, i) => Math.sin((2 * Math.PI * hz * (n + i)) / RATE) * 12_000);
    await source.captureFrame(new AudioFrame(pcm, RATE, 1, samples));
  }
}

async function publishColor(rgb) {
  const source = new VideoSource(WIDTH, HEIGHT);
  const track = LocalVideoTrack.createVideoTrack('color', source);
  await room.localParticipant.publishTrack(track, new TrackPublishOptions({ source: TrackSource.SOURCE_CAMERA, videoCodec: VideoCodec.VP8 }));
  const pixels = new Uint8Array(WIDTH * HEIGHT * 4);
  for (let i = 0; i < pixels.length; i += 4) pixels.set([...rgb, 255], i);
  while (running) {
    source.captureFrame(new VideoFrame(pixels, WIDTH, HEIGHT, VideoBufferType.RGBA));
    await new Promise((done) => setTimeout(done, 50));
  }
}

// The tone that fits best, by counting rising zero crossings: enough for a lone sine.
async function listen(track, identity) {
  let window = [];
  for await (const frame of new AudioStream(track, { sampleRate: RATE, numChannels: 1 })) {
    window = window.concat(Array.from(frame.data));
    if (window.length < RATE / 2) continue;
    let crossings = 0;
    for (let i = 1; i < window.length; i += 1) if (window[i - 1] < 0 && window[i] >= 0) crossings += 1;
    const level = Math.sqrt(window.reduce((sum, v) => sum + v * v, 0) / window.length);
    say({ kind: 'audio', identity, hz: (crossings * RATE) / window.length, level });
    window = [];
  }
}

async function watch(track, identity) {
  let count = 0;
  for await (const { frame: raw } of new VideoStream(track)) {
    count += 1;
    if (count % 10 !== 0) continue;
    const frame = raw.convert(VideoBufferType.RGBA);
    const at = 4 * (Math.floor(frame.height / 2) * frame.width + Math.floor(frame.width / 2));
    say({ kind: 'video', identity, rgb: [...frame.data.slice(at, at + 3)], width: frame.width, height: frame.height });
  }
}

let running = true;
room
  .on(RoomEvent.TrackSubscribed, (track, publication, participant) => (track.kind === TrackKind.KIND_AUDIO ? listen : watch)(track, participant.identity))
  .on(RoomEvent.DataReceived, (payload, participant, kind, topic) => say({ kind: 'data', identity: participant?.identity, text: new TextDecoder().decode(payload), topic }))
  .on(RoomEvent.ParticipantConnected, (participant) => say({ kind: 'joined', identity: participant.identity }))
  .on(RoomEvent.ParticipantDisconnected, (participant) => say({ kind: 'left', identity: participant.identity }));
await room.connect(url, token, { autoSubscribe: true, dynacast: true });
say({ kind: 'connected', participants: [...room.remoteParticipants.keys()] });
if (values.tone) publishTone(Number(values.tone));
if (values.color) publishColor(values.color.split(',').map(Number));

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  if (order.cmd === 'quit') break;
  if (order.cmd === 'data') {
    await room.localParticipant.publishData(new TextEncoder().encode(order.text), { reliable: order.reliable ?? true, topic: order.topic ?? '', destination_identities: order.to ?? [] });
  }
}
running = false;
await room.disconnect();
say({ kind: 'disconnected' });
await dispose();
process.exit(0);
