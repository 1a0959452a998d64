// The small panel of each tile: codec, resolution (which layer), bitrate and loss, from getStats of each track.

/// Milliseconds between two readings.
const INTERVAL = 1000;

export class Numbers {
  constructor(room, tiles, livekit) {
    this.room = room;
    this.tiles = tiles;
    this.livekit = livekit;
    /// Last reading by stats id: {time, bytes, packets, lost}.
    this.last = new Map();
  }

  start() {
    this.timer = setInterval(() => this.read().catch(() => {}), INTERVAL);
  }

  stop() {
    clearInterval(this.timer);
  }

  async read() {
    for (const participant of [this.room.localParticipant, ...this.room.remoteParticipants.values()]) {
      const lines = [];
      for (const publication of participant.trackPublications.values()) {
        const line = await this.line(publication, participant.isLocal);
        if (line) lines.push(line);
      }
      const panel = this.tiles.numbersOf(participant.identity);
      if (panel) panel.textContent = lines.join('\n');
    }
  }

  async line(publication, local) {
    const track = publication.track;
    if (!track || publication.isMuted) return null;
    const report = await (local ? track.sender?.getStats() : track.receiver?.getStats());
    if (!report) return null;
    const streams = [...report.values()].filter((entry) => entry.type === (local ? 'outbound-rtp' : 'inbound-rtp'));
    if (streams.length === 0) return null;
    let rate = 0;
    for (const stream of streams) rate += this.rate(stream, local);
    const codec = report.get(streams.find((stream) => stream.codecId)?.codecId)?.mimeType?.split('/')[1] ?? '';
    // Of simulcast layers that are sent, the largest that is alive tells the size.
    const picture = streams.filter((stream) => stream.frameWidth && stream.active !== false)
      .sort((left, right) => right.frameWidth - left.frameWidth)[0];
    const size = picture ? `${picture.frameWidth}×${picture.frameHeight}` : '';
    const layers = local && track.kind === 'video' ? this.layers(streams) : '';
    const loss = local ? this.remoteLoss(report) : this.loss(streams);
    const kind = publication.source === this.livekit.Track.Source.ScreenShare ? 'screen' : '';
    return [kind, codec, size, layers, `${Math.round(rate)}\u00a0kbit/s`, loss === null ? '' : `${loss.toFixed(1)}\u00a0%`].filter(Boolean).join(' ');
  }

  /// Kilobits per second since the last reading.
  rate(stream, local) {
    const bytes = (local ? stream.bytesSent : stream.bytesReceived) ?? 0;
    const before = this.last.get(stream.id);
    this.last.set(stream.id, {
      time: stream.timestamp, bytes, packets: stream.packetsReceived ?? 0, lost: stream.packetsLost ?? 0,
      lossNow: before ? lossBetween(before, stream) : null,
    });
    if (!before || stream.timestamp <= before.time || bytes < before.bytes) return 0;
    return ((bytes - before.bytes) * 8) / (stream.timestamp - before.time);
  }

  layers(streams) {
    const alive = streams.filter((stream) => stream.framesPerSecond > 0).map((stream) => stream.rid).filter(Boolean);
    return alive.length > 0 ? `[${alive.join(' ')}]` : '';
  }

  loss(streams) {
    const known = streams.map((stream) => this.last.get(stream.id)?.lossNow).filter((loss) => typeof loss === 'number');
    return known.length > 0 ? Math.max(...known) : null;
  }

  remoteLoss(report) {
    const entries = [...report.values()].filter((entry) => entry.type === 'remote-inbound-rtp' && typeof entry.fractionLost === 'number');
    return entries.length > 0 ? Math.max(...entries.map((entry) => entry.fractionLost)) * 100 : null;
  }
}

/// Percent of the packets between two readings that did not arrive.
function lossBetween(before, stream) {
  const lost = Math.max(0, (stream.packetsLost ?? 0) - before.lost);
  const received = Math.max(0, (stream.packetsReceived ?? 0) - before.packets);
  return lost + received > 0 ? (lost / (lost + received)) * 100 : 0;
}
