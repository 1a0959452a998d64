// One tile for each participant, with its pictures, its name and who is speaking. Sound plays from the tiles too.

/// Pixels that a tile keeps when there are many; the list scrolls then.
const MIN_HEIGHT = 110;

export class Tiles {
  constructor(parent, room, livekit) {
    this.parent = parent;
    this.room = room;
    this.livekit = livekit;
    /// Tile by participant identity.
    this.tiles = new Map();
    const events = livekit.RoomEvent;
    const refresh = () => this.refresh();
    for (const event of [
      events.ParticipantConnected, events.ParticipantDisconnected, events.TrackSubscribed, events.TrackUnsubscribed,
      events.LocalTrackPublished, events.LocalTrackUnpublished, events.TrackMuted, events.TrackUnmuted,
      events.ParticipantNameChanged, events.Reconnected, events.ActiveSpeakersChanged,
    ]) room.on(event, refresh);
    this.observer = new ResizeObserver(() => this.arrange());
    this.observer.observe(parent);
  }

  /// Makes the tiles be those of the participants who are here.
  refresh() {
    const present = [this.room.localParticipant, ...this.room.remoteParticipants.values()];
    const gone = new Set(this.tiles.keys());
    for (const participant of present) {
      gone.delete(participant.identity);
      this.update(participant);
    }
    for (const identity of gone) {
      this.tiles.get(identity).remove();
      this.tiles.delete(identity);
    }
    this.arrange();
  }

  update(participant) {
    let tile = this.tiles.get(participant.identity);
    if (!tile) {
      tile = this.build(participant.isLocal);
      this.tiles.set(participant.identity, tile);
      this.parent.append(tile);
    }
    const name = participant.name || participant.identity;
    tile.classList.toggle('speaking', participant.isSpeaking);
    tile.querySelector('.who').textContent = participant.isLocal ? `${name} (you)` : name;
    tile.querySelector('.muted').hidden = participant.isMicrophoneEnabled;
    tile.querySelector('.avatar span').textContent = [...name][0]?.toUpperCase() ?? '?';
    this.attach(tile, participant);
  }

  build(local) {
    const tile = document.createElement('article');
    tile.className = local ? 'tile local' : 'tile';
    tile.innerHTML =
      '<div class="avatar"><span></span></div><pre class="numbers"></pre>' +
      '<div class="caption"><span class="who"></span><span class="muted" hidden>muted</span></div>';
    return tile;
  }

  /// Brings the media elements in line with the participant's tracks.
  attach(tile, participant) {
    const { Track } = this.livekit;
    const wanted = new Map();
    for (const publication of participant.trackPublications.values()) {
      const track = publication.track;
      if (!track || publication.isMuted) continue;
      // One's own sound is not played back.
      if (track.kind === Track.Kind.Audio && participant.isLocal) continue;
      wanted.set(track.sid ?? track.mediaStreamTrack.id, { track, publication });
    }
    for (const element of tile.querySelectorAll('video, audio')) {
      const entry = wanted.get(element.dataset.track);
      if (entry && element.srcObject?.getTracks().includes(entry.track.mediaStreamTrack)) {
        wanted.delete(element.dataset.track);
      } else {
        element.srcObject = null;
        element.remove();
      }
    }
    for (const [sid, { track, publication }] of wanted) {
      const element = track.attach();
      element.dataset.track = sid;
      if (track.kind === Track.Kind.Video) {
        element.className = publication.source === Track.Source.ScreenShare ? 'screen' : 'camera';
        element.playsInline = true;
        element.muted = true;
      }
      tile.prepend(element);
    }
    tile.classList.toggle('has-video', tile.querySelector('video') !== null);
  }

  /// As many columns as give the largest tiles. A tile is between 4:5 (phones) and 16:9, so that little of a picture is cut.
  arrange() {
    const count = Math.max(1, this.tiles.size);
    const gap = 10;
    let best = { area: 0 };
    for (let columns = 1; columns <= count; columns += 1) {
      const rows = Math.ceil(count / columns);
      const cellWidth = (this.parent.clientWidth - gap * (columns - 1)) / columns;
      const cellHeight = Math.max(MIN_HEIGHT, (this.parent.clientHeight - gap * (rows - 1)) / rows);
      const aspect = Math.min(16 / 9, Math.max(4 / 5, cellWidth / cellHeight));
      const width = Math.min(cellWidth, cellHeight * aspect);
      const height = width / aspect;
      if (width * height > best.area) best = { columns, width, height, area: width * height };
    }
    if (!best.area) return;
    this.parent.style.setProperty('--columns', String(best.columns));
    this.parent.style.setProperty('--tile-width', `${Math.floor(best.width)}px`);
    this.parent.style.setProperty('--tile-height', `${Math.floor(best.height)}px`);
  }

  /// Where the numbers of a participant are written.
  numbersOf(identity) {
    return this.tiles.get(identity)?.querySelector('.numbers');
  }

  clear() {
    this.observer.disconnect();
    for (const tile of this.tiles.values()) {
      for (const element of tile.querySelectorAll('video, audio')) element.srcObject = null;
      tile.remove();
    }
    this.tiles.clear();
  }
}
