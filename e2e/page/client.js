// What a test may ask of one participant; driven through page.evaluate.
const LK = window.LivekitClient;
const room_ = { current: null };
const seen = { data: [], left: [], joined: [], muted: [], unmuted: [], subscribed: [], speakers: [], reconnects: [] };

window.k = {
  async join(url, token, options) {
    const { autoSubscribe = true, ...roomOptions } = options;
    const room = new LK.Room({ adaptiveStream: false, dynacast: true, ...roomOptions });
    room_.current = room;
    room
      .on('dataReceived', (payload, participant, kind, topic) => {
        seen.data.push({ from: participant?.identity, kind, topic, size: payload.length, text: payload.length < 200 ? new TextDecoder().decode(payload) : null, first: new DataView(payload.buffer, payload.byteOffset, 4).getUint32(0) });
      })
      .on('participantConnected', (p) => seen.joined.push(p.identity))
      .on('participantDisconnected', (p) => seen.left.push(p.identity))
      .on('trackMuted', (pub, p) => seen.muted.push(`${p.identity}/${pub.source}`))
      .on('trackUnmuted', (pub, p) => seen.unmuted.push(`${p.identity}/${pub.source}`))
      .on('trackSubscribed', (track, pub, p) => {
        seen.subscribed.push({ who: p.identity, source: pub.source, at: performance.now() });
        document.body.append(track.attach());
      })
      .on('activeSpeakersChanged', (list) => seen.speakers.push(list.map((p) => p.identity)))
      .on('reconnecting', () => seen.reconnects.push('reconnecting'))
      .on('signalReconnecting', () => seen.reconnects.push('signalReconnecting'));
    const started = performance.now();
    await room.connect(url, token, { autoSubscribe });
    seen.connectMs = performance.now() - started;
  },
  /// Joins and tells how many ms pass from the start of the join to the first received packet of a published camera.
  async joinUntilFirstPacket(url, token) {
    const room = new LK.Room({ adaptiveStream: false, dynacast: true });
    room_.current = room;
    let track = null;
    room.on('trackSubscribed', (subscribed) => {
      if (subscribed.kind === 'video') track = subscribed;
    });
    const started = performance.now();
    const connecting = room.connect(url, token);
    for (;;) {
      await new Promise((done) => setTimeout(done, 0));
      if (track && ((await inbound(track))?.packetsReceived ?? 0) > 0) break;
      if (performance.now() - started > 5000) throw new Error('no packet within five seconds');
    }
    const took = performance.now() - started;
    await connecting;
    return took;
  },
  seen: () => seen,
  participants: () => [...room_.current.remoteParticipants.keys()],
  sids: () => ({ room: room_.current.localParticipant.sid }),
  async leave() {
    await room_.current.disconnect();
  },
  async publishCamera(options = {}) {
    const { width = 1280, height = 720, ...publish } = options;
    const track = await LK.createLocalVideoTrack({ resolution: { width, height, frameRate: 20 } });
    await room_.current.localParticipant.publishTrack(track, { source: 'camera', simulcast: false, videoEncoding: { maxBitrate: 300_000, maxFramerate: 20 }, ...publish });
  },
  async publishMicrophone(options = {}) {
    const track = await LK.createLocalAudioTrack({ echoCancellation: false, noiseSuppression: false, autoGainControl: false });
    await room_.current.localParticipant.publishTrack(track, { source: 'microphone', ...options });
  },
  async mute(source, muted) {
    const track = room_.current.localParticipant.getTrackPublication(source).track;
    await (muted ? track.mute() : track.unmute());
  },
  async unpublish(source) {
    const track = room_.current.localParticipant.getTrackPublication(source).track;
    await room_.current.localParticipant.unpublishTrack(track);
  },
  setQuality(identity, quality) {
    for (const pub of room_.current.remoteParticipants.get(identity).videoTrackPublications.values()) pub.setVideoQuality(LK.VideoQuality[quality]);
  },
  setEnabled(identity, enabled) {
    for (const pub of room_.current.remoteParticipants.get(identity).videoTrackPublications.values()) pub.setEnabled(enabled);
  },
  setSubscribed(identity, subscribed) {
    for (const pub of room_.current.remoteParticipants.get(identity).trackPublications.values()) pub.setSubscribed(subscribed);
  },
  async videoStats(identity, source) {
    const pub = room_.current.remoteParticipants.get(identity)?.getTrackPublication(source);
    return pub?.track ? inbound(pub.track) : null;
  },
  async audioStats(identity) {
    const pub = room_.current.remoteParticipants.get(identity)?.getTrackPublication('microphone');
    return pub?.track ? inbound(pub.track) : null;
  },
  async sentStats(source) {
    const report = await room_.current.localParticipant.getTrackPublication(source).track.sender.getStats();
    return [...report.values()].filter((s) => s.type === 'outbound-rtp').map((s) => ({ rid: s.rid, active: s.active, frames: s.framesEncoded, width: s.frameWidth, bytes: s.bytesSent, scalabilityMode: s.scalabilityMode, quality: s.qualityLimitationReason, nack: s.nackCount, pli: s.pliCount }));
  },
  async sendText(text, options = {}) {
    await room_.current.localParticipant.publishData(new TextEncoder().encode(text), { reliable: true, ...options });
  },
  /// Sends `count` messages of `size` bytes whose first four bytes number them.
  async sendNumbered(count, size, options = { reliable: true }) {
    for (let i = 0; i < count; i += 1) {
      const bytes = new Uint8Array(size);
      new DataView(bytes.buffer).setUint32(0, i);
      await room_.current.localParticipant.publishData(bytes, options);
    }
  },
  numberedFrom: (identity) => seen.data.filter((d) => d.from === identity && d.text === null).map((d) => d.first),
};

async function inbound(track) {
  const report = await track.receiver.getStats();
  let found = null;
  for (const s of report.values()) if (s.type === 'inbound-rtp') found = s;
  if (!found) return null;
  return {
    framesDecoded: found.framesDecoded ?? 0, width: found.frameWidth, height: found.frameHeight, packetsLost: found.packetsLost, packetsReceived: found.packetsReceived,
    totalAudioEnergy: found.totalAudioEnergy ?? 0, codec: report.get(found.codecId)?.mimeType, freezeCount: found.freezeCount, keyFrames: found.keyFramesDecoded,
    bytes: found.bytesReceived, concealed: found.concealedSamples, samples: found.totalSamplesReceived, nack: found.nackCount, pli: found.pliCount,
  };
}
