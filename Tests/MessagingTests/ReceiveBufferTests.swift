import Messaging
import ServiceKit
import Testing

@Suite struct ReceiveBufferTests {
    /// Sends through a real socket: a message buffer is filled by nothing else.
    private final class Wire {
        private var sender: Socket
        private var receiver: Socket
        private var message = MessageBuffer()

        init() throws {
            let context = try MessagingContext()
            var receiver = try Socket(.dealer, in: context)
            try receiver.bind("tcp://127.0.0.1:*")
            var sender = try Socket(.dealer, in: context)
            try sender.connect(receiver.boundEndpoint())
            self.sender = sender
            self.receiver = receiver
        }

        func pass(_ frames: [[UInt8]]) throws {
            try sender.send(frames)
            let wake = WakeDescriptor()
            let ready = try receiver.wait(alsoFor: wake.rawValue, milliseconds: 5000)
            let isThere = try receiver.receive(into: &message)
            #expect(ready.socket && isThere)
        }

        func put(into buffer: ReceiveBuffer, withKey: Bool = false, surplus: Int = 0) -> ReceiveBuffer.Outcome {
            buffer.put(message, withKey: withKey, surplus: surplus)
        }
    }

    /// What can be expected of a reader: macros copy what they look at.
    private final class Reading {
        private var reader: ReceiveBuffer.Reader
        init(_ buffer: ReceiveBuffer) { reader = ReceiveBuffer.Reader(buffer) }
        var isReady: Bool { reader.isReady }
        var frameCount: Int { reader.frameCount }
        var key: String? { reader.key }
        func take() -> Bool { reader.take() }
        func frame(_ place: Int) -> [UInt8] { Array([reader.frames.0, reader.frames.1, reader.frames.2][place]) }
    }

    private func body(_ number: Int, _ size: Int) -> [UInt8] {
        (0..<size).map { UInt8(truncatingIfNeeded: $0 &* number) }
    }

    @Test func messagesComeOutWholeAndInOrderWhateverTheirSize() throws {
        let wire = try Wire()
        let buffer = ReceiveBuffer(maximumBytes: 8 << 20)
        let reader = Reading(buffer)
        let sizes = [0, 1, 300_000, 17, 262_143, 262_144, 5, 2_000_000] + (0..<300).map { $0 * 11 }
        for (number, size) in sizes.enumerated() {
            try wire.pass([[1, UInt8(truncatingIfNeeded: number)], [2], body(number, size)])
            #expect(wire.put(into: buffer, withKey: true) != .full)
        }
        for (number, size) in sizes.enumerated() {
            #expect(reader.isReady)
            #expect(reader.take())
            #expect(reader.frameCount == 3 && reader.key == nil)
            #expect(reader.frame(0) == [1, UInt8(truncatingIfNeeded: number)])
            #expect(reader.frame(1) == [2])
            #expect(reader.frame(2) == body(number, size))
        }
        #expect(!reader.isReady)
        #expect(!reader.take())
        #expect(buffer.bytes == 0)
    }

    @Test func aFullBufferTakesNothingMoreUntilAChunkIsRead() throws {
        let wire = try Wire()
        let buffer = ReceiveBuffer(maximumBytes: 1 << 20)
        let reader = Reading(buffer)
        try wire.pass([[0], [0], body(3, 100_000)])
        var taken = 0
        while wire.put(into: buffer) != .full { taken += 1 }
        // Four chunks of 256 KiB, of which each holds two.
        #expect(taken == 8 && buffer.bytes == 1 << 20)
        #expect(wire.put(into: buffer, surplus: .max) == .taken)
        // What one chunk held is given back when the next is begun.
        for _ in 0..<5 { #expect(reader.take()) }
        #expect(wire.put(into: buffer) == .taken)
        var left = 0
        while reader.take() { left += 1 }
        #expect(left == 5 && buffer.bytes == 0)
    }

    @Test func theReaderIsWokenOnlyWhenItWaits() throws {
        let wire = try Wire()
        let buffer = ReceiveBuffer(maximumBytes: 1 << 20)
        let reader = Reading(buffer)
        try wire.pass([[0], [0], [0]])
        #expect(wire.put(into: buffer) == .taken)
        #expect(reader.take())
        #expect(!reader.isReady)
        #expect(wire.put(into: buffer) == .takenAndAwaited)
        #expect(wire.put(into: buffer) == .taken)
    }

    @Test(arguments: [1, 2, 4, 12]) func anotherNumberOfFramesIsTold(_ count: Int) throws {
        let wire = try Wire()
        let buffer = ReceiveBuffer(maximumBytes: 1 << 20)
        let reader = Reading(buffer)
        try wire.pass((0..<count).map { [UInt8($0), 7] })
        #expect(wire.put(into: buffer) == .taken)
        #expect(reader.take())
        #expect(reader.frameCount == count)
        #expect(reader.frame(0) == [0, 7])
        #expect(reader.frame(2).count == (count > 2 ? 2 : 0))
    }
}
