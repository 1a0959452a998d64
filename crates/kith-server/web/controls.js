// The buttons below: microphone, camera, screen, leave.
const $ = (id) => document.getElementById(id);

export class Controls {
  constructor(room, chat) {
    this.room = room;
    this.chat = chat;
    this.stopping = new AbortController();
    const me = room.localParticipant;
    const buttons = [
      ['microphone', () => me.isMicrophoneEnabled, (on) => me.setMicrophoneEnabled(on)],
      ['camera', () => me.isCameraEnabled, (on) => me.setCameraEnabled(on)],
      ['screen', () => me.isScreenShareEnabled, (on) => me.setScreenShareEnabled(on, { audio: true })],
    ];
    this.switches = new Map(buttons.map(([id, isOn, set]) => [id, { isOn, set }]));
    for (const id of this.switches.keys()) {
      $(id).addEventListener('click', () => this.toggle(id), { signal: this.stopping.signal });
    }
    $('leave').addEventListener('click', () => room.disconnect(), { signal: this.stopping.signal });
    $('screen').hidden = !navigator.mediaDevices?.getDisplayMedia;
    this.show = () => {
      for (const [id, { isOn }] of this.switches) $(id).setAttribute('aria-pressed', String(isOn()));
    };
    this.events = ['localTrackPublished', 'localTrackUnpublished', 'trackMuted', 'trackUnmuted'];
    for (const event of this.events) room.on(event, this.show);
    this.show();
  }

  /// Turns on what was chosen in the lobby. Someone without a camera still hears the others.
  async start(wanted) {
    if (!navigator.mediaDevices) {
      this.chat.note('This browser gives no camera or microphone to pages without HTTPS (localhost is fine).');
      return;
    }
    await Promise.all(Object.entries(wanted).filter(([, on]) => on).map(([id]) => this.toggle(id)));
  }

  async toggle(id) {
    const { isOn, set } = this.switches.get(id);
    $(id).disabled = true;
    try {
      await set(!isOn());
    } catch (error) {
      this.chat.note(`${id}: ${error.message}`);
    } finally {
      $(id).disabled = false;
      this.show();
    }
  }

  stop() {
    this.stopping.abort();
    for (const event of this.events) this.room.off(event, this.show);
  }
}
