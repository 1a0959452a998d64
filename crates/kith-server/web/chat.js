// One line of chat for everybody.

/// Messages that stay on the page.
const KEPT = 200;

export class Chat {
  constructor(list, form, input, room) {
    this.list = list;
    this.room = room;
    this.stopping = new AbortController();
    list.replaceChildren();
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const text = input.value.trim();
      if (!text) return;
      input.value = '';
      this.send(text);
    }, { signal: this.stopping.signal });
    room.registerTextStreamHandler('lk.chat', async (reader, from) => {
      const text = await reader.readAll();
      const participant = room.remoteParticipants.get(from.identity);
      this.add(participant?.name || from.identity, text);
    });
  }

  async send(text) {
    this.add('You', text);
    try {
      await this.room.localParticipant.sendText(text, { topic: 'lk.chat' });
    } catch (error) {
      this.note(`not sent: ${error.message}`);
    }
  }

  add(from, text) {
    const item = document.createElement('li');
    const who = document.createElement('span');
    who.className = 'from';
    who.textContent = from;
    item.append(who, text);
    this.append(item);
  }

  /// A line that nobody wrote.
  note(text) {
    const item = document.createElement('li');
    item.className = 'note';
    item.textContent = text;
    this.append(item);
  }

  append(item) {
    this.list.append(item);
    while (this.list.childElementCount > KEPT) this.list.firstElementChild.remove();
    this.list.scrollTop = this.list.scrollHeight;
  }

  stop() {
    this.stopping.abort();
  }
}
