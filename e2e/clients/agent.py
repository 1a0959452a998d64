"""One participant on PyPI `livekit`: publishes a tone and a colour, tells as JSON lines what it hears, sees and is sent.

Takes JSON lines on stdin: {"cmd": "data", "text": …, "reliable": …, "topic": …, "to": [identity]} and {"cmd": "quit"}.
"""

import argparse
import asyncio
import json
import sys

import numpy as np
from livekit import rtc

RATE = 48_000
WIDTH, HEIGHT = 320, 240


def say(**what):
    print(json.dumps(what), flush=True)


async def publish_tone(room, hz):
    source = rtc.AudioSource(RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track("tone", source)
    await room.local_participant.publish_track(track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE))
    samples = RATE // 100
    phase = 0
    while True:
        t = (np.arange(samples) + phase) / RATE
        pcm = (np.sin(2 * np.pi * hz * t) * 12000).astype(np.int16)
        phase += samples
        await source.capture_frame(rtc.AudioFrame(pcm.tobytes(), RATE, 1, samples))


async def publish_color(room, rgb):
    source = rtc.VideoSource(WIDTH, HEIGHT)
    track = rtc.LocalVideoTrack.create_video_track("color", source)
    await room.local_participant.publish_track(
        track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, video_codec=rtc.VideoCodec.VP8)
    )
    pixels = np.zeros((HEIGHT, WIDTH, 4), dtype=np.uint8)
    pixels[:, :, :3] = rgb
    pixels[:, :, 3] = 255
    while True:
        source.capture_frame(rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.RGBA, pixels.tobytes()))
        await asyncio.sleep(0.05)


async def listen(track, identity):
    window = np.zeros(0, dtype=np.int16)
    async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
        window = np.concatenate([window, np.frombuffer(event.frame.data, dtype=np.int16)])
        if len(window) >= RATE // 2:
            spectrum = np.abs(np.fft.rfft(window * np.hanning(len(window))))
            peak = int(np.argmax(spectrum))
            level = float(np.sqrt(np.mean(window.astype(np.float64) ** 2)))
            say(kind="audio", identity=identity, hz=peak * RATE / len(window), level=level)
            window = np.zeros(0, dtype=np.int16)


async def watch(track, identity):
    count = 0
    async for event in rtc.VideoStream(track, format=rtc.VideoBufferType.RGBA):
        count += 1
        if count % 10 == 0:
            frame = event.frame
            pixels = np.frombuffer(frame.data, dtype=np.uint8).reshape(frame.height, frame.width, 4)
            middle = pixels[frame.height // 2, frame.width // 2, :3]
            say(kind="video", identity=identity, rgb=[int(v) for v in middle], width=frame.width, height=frame.height)


async def commands(room, done):
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order = json.loads(line)
        if order["cmd"] == "data":
            await room.local_participant.publish_data(
                order["text"].encode(),
                reliable=order.get("reliable", True),
                topic=order.get("topic", ""),
                destination_identities=order.get("to", []),
            )
        elif order["cmd"] == "quit":
            break
    done.set()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("token")
    parser.add_argument("--tone", type=float)
    parser.add_argument("--color")
    args = parser.parse_args()
    room = rtc.Room()
    tasks = []

    @room.on("track_subscribed")
    def _(track, publication, participant):
        work = listen if track.kind == rtc.TrackKind.KIND_AUDIO else watch
        tasks.append(asyncio.create_task(work(track, participant.identity)))

    @room.on("data_received")
    def _(packet):
        say(kind="data", identity=packet.participant.identity if packet.participant else None, text=packet.data.decode(), topic=packet.topic)

    @room.on("participant_connected")
    def _(participant):
        say(kind="joined", identity=participant.identity)

    @room.on("participant_disconnected")
    def _(participant):
        say(kind="left", identity=participant.identity)

    await room.connect(args.url, args.token)
    say(kind="connected", participants=list(room.remote_participants))
    if args.tone:
        tasks.append(asyncio.create_task(publish_tone(room, args.tone)))
    if args.color:
        tasks.append(asyncio.create_task(publish_color(room, [int(v) for v in args.color.split(",")])))
    done = asyncio.Event()
    tasks.append(asyncio.create_task(commands(room, done)))
    await done.wait()
    await room.disconnect()
    say(kind="disconnected")


asyncio.run(main())
