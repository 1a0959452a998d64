// The built-in page: join a room, see and hear everybody, talk, share, chat, and watch the numbers.
import { Chat } from './chat.js';
import { Controls } from './controls.js';
import { Numbers } from './numbers.js';
import { Tiles } from './tiles.js';

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const livekit = globalThis.LivekitClient;

function problem(text) {
  $('problem').textContent = text;
  $('problem').hidden = !text;
}

function prefill() {
  const stored = sessionStorage.getItem('kith.name') ?? '';
  $('name').value = query.get('name') ?? stored;
  if (query.get('room')) $('room').value = query.get('room');
  // `?token=…` is for servers that are not in development mode: those give out no tokens.
  if (query.get('token')) {
    $('token').value = query.get('token');
    $('token-field').hidden = false;
  }
  if (!livekit) {
    $('join').disabled = true;
    problem('This build has no livekit-client: npm was not there when Kith was built. Install npm, and build Kith again.');
  }
}

/// A token: the one that was pasted, or a fresh one of a server in development mode.
async function findToken(room, name) {
  const pasted = $('token').value.trim();
  if (pasted) return pasted;
  const suffix = Array.from(crypto.getRandomValues(new Uint8Array(4)), (byte) => byte.toString(16).padStart(2, '0')).join('');
  const parameters = new URLSearchParams({ room, name, identity: `${name}-${suffix}` });
  const answer = await fetch(`/dev/token?${parameters}`);
  if (answer.ok) return (await answer.json()).token;
  if (answer.status === 404) {
    $('token-field').hidden = false;
    $('token').focus();
    throw new Error('This server gives out no tokens (it was started without --dev). Paste one.');
  }
  throw new Error(await answer.text());
}

async function join() {
  const name = $('name').value.trim();
  const roomName = $('room').value.trim();
  if (!name || !roomName) return;
  sessionStorage.setItem('kith.name', name);
  problem('');
  $('join').disabled = true;
  try {
    const token = await findToken(roomName, name);
    await enter(token, roomName);
  } catch (error) {
    problem(error.message || String(error));
    document.body.dataset.view = 'lobby';
  } finally {
    $('join').disabled = false;
  }
}

async function enter(token, roomName) {
  const room = new livekit.Room({ adaptiveStream: true, dynacast: true });
  // For the console, and for tests.
  globalThis.kithRoom = room;
  const tiles = new Tiles($('tiles'), room, livekit);
  const chat = new Chat($('messages'), $('chat-form'), $('chat-text'), room);
  const controls = new Controls(room, chat);
  const numbers = new Numbers(room, tiles, livekit);

  const state = (text) => {
    $('state').textContent = text;
    $('state').dataset.state = text;
  };
  const events = livekit.RoomEvent;
  const left = new Promise((resolve) => room.once(events.Disconnected, resolve));
  room
    .on(events.Reconnecting, () => state('reconnecting'))
    .on(events.SignalReconnecting, () => state('reconnecting'))
    .on(events.Reconnected, () => state('connected'))
    .on(events.ParticipantConnected, (participant) => chat.note(`${participant.name || participant.identity} joined`))
    .on(events.ParticipantDisconnected, (participant) => chat.note(`${participant.name || participant.identity} left`))
    .on(events.AudioPlaybackStatusChanged, () => { $('start-audio').hidden = room.canPlaybackAudio; });

  state('connecting');
  try {
    await room.connect(location.origin, token);
  } catch (error) {
    tiles.clear();
    controls.stop();
    chat.stop();
    throw error;
  }
  state('connected');
  $('room-name').textContent = room.name || roomName;
  document.title = `${room.name || roomName} · Kith`;
  document.body.dataset.view = 'meeting';
  tiles.refresh();
  numbers.start();
  controls.start({ camera: $('with-camera').checked, microphone: $('with-microphone').checked });

  left.then((reason) => {
    numbers.stop();
    controls.stop();
    chat.stop();
    tiles.clear();
    document.title = 'Kith';
    document.body.dataset.view = 'lobby';
    const name = livekit.DisconnectReason[reason];
    problem(reason === livekit.DisconnectReason.CLIENT_INITIATED ? '' : `You are out of the room${name ? ` (${name})` : ''}.`);
  });
}

$('join-form').addEventListener('submit', (event) => {
  event.preventDefault();
  join();
});
$('start-audio').addEventListener('click', () => globalThis.kithRoom?.startAudio());
$('toggle-stats').addEventListener('click', () => {
  const off = document.body.classList.toggle('no-numbers');
  $('toggle-stats').setAttribute('aria-pressed', String(!off));
});
prefill();
