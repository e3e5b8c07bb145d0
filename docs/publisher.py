#!/usr/bin/env python3
"""A complete publisher for Backfeed: journal on disk, live stream, replay on request. Needs pyzmq; copy and adapt it.

    publisher = Publisher("AGG-A", "tcp://127.0.0.1:5560", "tcp://127.0.0.1:5561", "agg-a.journal")
    publisher.publish([{"device": "pv-0017", "time": "2026-06-21T11:00:00Z", "active_power_w": 4210.5}])
    publisher.serve()          # often, at least once a second: answers the service

As a program it publishes lines of JSON, one sample each, from standard input, and ends when everything is stored.
"""
import argparse
import json
import sqlite3
import struct
import sys
import time

import zmq


class Publisher:
    def __init__(self, aggregator, telemetry, control, journal, key=None, keep=1_000_000, keep_after_durable_s=86_400):
        """key: (public, secret, server's public), Z85; keep: messages kept when the service stays away; keep_after_durable_s: how long
        those are kept that it has stored: it asks for them again when its database was restored to an earlier time."""
        self.aggregator, self.keep, self.keep_after_durable_s = aggregator, keep, keep_after_durable_s
        self.topic = f"telemetry/1/{aggregator}/json".encode()
        # A message is in the journal before it is sent, so a killed publisher goes on without a gap.
        self.journal = sqlite3.connect(journal, isolation_level=None)
        self.journal.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
            "CREATE TABLE IF NOT EXISTS message (sequence INTEGER PRIMARY KEY, payload BLOB NOT NULL);"
            "CREATE TABLE IF NOT EXISTS state (epoch INTEGER NOT NULL, last INTEGER NOT NULL, durable INTEGER NOT NULL);")
        if "durable_at" not in [column[1] for column in self.journal.execute("PRAGMA table_info(message)")]:
            self.journal.execute("ALTER TABLE message ADD COLUMN durable_at REAL")
        if not self.journal.execute("SELECT 1 FROM state").fetchone():
            # A journal that starts afresh takes a larger epoch than any before: the time.
            self.journal.execute("INSERT INTO state VALUES (?, 0, 0)", (int(time.time() * 1e6),))
        self.epoch, self.last, self.durable = self.journal.execute("SELECT epoch, last, durable FROM state").fetchone()
        context = zmq.Context.instance()
        self.live, self.control = context.socket(zmq.PUB), context.socket(zmq.DEALER)
        for socket, endpoint in ((self.live, telemetry), (self.control, control)):
            if key:
                socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = (part.encode() for part in key)
            socket.linger = 0
            socket.sndhwm = 10_000
            socket.connect(endpoint)
        self.greeted = 0.0
        self.rejected = []

    def frames(self, sequence, payload):
        return [self.topic, struct.pack(">QQ", self.epoch, sequence), payload]

    def publish(self, samples):
        """Sends one message of 1 to 10,000 samples."""
        payload = json.dumps({"samples": samples}, allow_nan=False).encode()
        self.last += 1
        self.journal.execute("BEGIN")
        self.journal.execute("INSERT INTO message (sequence, payload) VALUES (?, ?)", (self.last, payload))
        self.journal.execute("UPDATE state SET last = ?", (self.last,))
        self.journal.execute("DELETE FROM message WHERE sequence <= ?", (self.last - self.keep,))
        self.journal.execute("COMMIT")
        # PUB drops when nobody listens: the service finds the gap and asks.
        self.live.send_multipart(self.frames(self.last, payload))

    def serve(self, milliseconds=0):
        """Says hello once a second and answers what the service asks; waits up to `milliseconds` for something."""
        if time.monotonic() - self.greeted >= 1:
            self.greeted = time.monotonic()
            first = self.journal.execute("SELECT min(sequence) FROM message").fetchone()[0] or self.last + 1
            self.say({"type": "hello", "aggregator": self.aggregator, "epoch": self.epoch, "first_kept": first, "last": self.last})
        while self.control.poll(milliseconds):
            milliseconds = 0
            said = json.loads(self.control.recv())
            if said.get("epoch") not in (self.epoch, 0):
                continue
            if said["type"] == "durable":
                self.durable = max(self.durable, said["sequence"])
                now = time.time()
                self.journal.execute("UPDATE message SET durable_at = ? WHERE sequence <= ? AND durable_at IS NULL", (now, said["sequence"]))
                self.journal.execute("DELETE FROM message WHERE durable_at <= ?", (now - self.keep_after_durable_s,))
                self.journal.execute("UPDATE state SET durable = max(durable, ?)", (said["sequence"],))
            elif said["type"] == "replay":
                self.replay(said["first"], said["last"], said.get("credit", 512))
            elif said["type"] == "rejected":
                self.rejected.append(said)
                print(f"{self.aggregator}: message {said['sequence']} rejected: {said['reasons']}", file=sys.stderr)

    def replay(self, first, last, credit):
        rows = self.journal.execute(
            "SELECT sequence, payload FROM message WHERE sequence BETWEEN ? AND ? ORDER BY 1 LIMIT ?", (first, last, credit)).fetchall()
        # What is neither kept nor durable will never come: say so, or the service asks for ever.
        kept = rows[0][0] if rows else last + 1
        if kept > first:
            self.say({"type": "gone", "epoch": self.epoch, "first": first, "last": min(last, kept - 1)})
        for sequence, payload in rows:
            self.control.send_multipart([b'{"type":"data"}', *self.frames(sequence, payload)])

    def say(self, message):
        try:
            self.control.send(json.dumps(message).encode(), zmq.DONTWAIT)
        except zmq.Again:
            pass  # The service is away; the next hello tells it everything.


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("aggregator")
    parser.add_argument("--telemetry", default="tcp://127.0.0.1:5560")
    parser.add_argument("--control", default="tcp://127.0.0.1:5561")
    parser.add_argument("--journal", default="publisher.journal")
    parser.add_argument("--key", nargs=3, metavar=("PUBLIC", "SECRET", "SERVER"), help="CURVE keys, Z85")
    options = parser.parse_args()
    publisher = Publisher(options.aggregator, options.telemetry, options.control, options.journal, options.key)
    for line in sys.stdin:
        publisher.publish([json.loads(line)])
        publisher.serve()
    while publisher.durable < publisher.last:
        publisher.serve(100)
