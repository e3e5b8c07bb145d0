import GridModel
import Messaging
import Testing

@Suite struct SequenceTrackerTests {
    private func missing(_ tracker: SequenceTracker, _ name: String = "a") -> [ClosedRange<UInt64>] {
        tracker.streams[name]?.missing.map(\.sequences) ?? []
    }

    @Test func gapsAreSeenFilledAndCounted() {
        var tracker = SequenceTracker()
        #expect(tracker.judge("a", epoch: 5, sequence: 1) == .next)
        #expect(tracker.judge("a", epoch: 5, sequence: 2) == .next)
        #expect(tracker.judge("a", epoch: 5, sequence: 2) == .duplicate)
        #expect(tracker.judge("a", epoch: 5, sequence: 6) == .gap(3...5))
        #expect(tracker.judge("a", epoch: 5, sequence: 4) == .filled)
        #expect(tracker.judge("a", epoch: 5, sequence: 4) == .duplicate)
        #expect(missing(tracker) == [3...3, 5...5])
        #expect(tracker.streams["a"]?.contiguous == 2)
        // Another aggregator may use the same epoch.
        #expect(tracker.judge("b", epoch: 5, sequence: 3) == .gap(1...2))
    }

    @Test func anEpochReplacesAnOlderOneAndNotTheOtherWayRound() {
        var tracker = SequenceTracker()
        _ = tracker.judge("a", epoch: 5, sequence: 9)
        #expect(tracker.judge("a", epoch: 6, sequence: 1) == .next)
        #expect(tracker.judge("a", epoch: 5, sequence: 10) == .oldEpoch)
        #expect(missing(tracker) == [])
        // What was missing, and what nobody can know of, is lost by name.
        let lost = tracker.takeLost()
        #expect(lost.map(\.first) == [1, 10])
        #expect(lost.map(\.last) == [8, nil])
        #expect(lost.allSatisfy { $0.reason == .epochReplaced && $0.epoch == 5 })
        let again = tracker.takeLost()
        #expect(again.isEmpty)
    }

    @Test func timesOnBothSidesBoundAGap() {
        var tracker = SequenceTracker()
        let start = Timestamp.seconds(1000)
        _ = tracker.judge("a", epoch: 1, sequence: 1)
        tracker.note("a", sequence: 1, oldest: start, newest: start + 5)
        _ = tracker.judge("a", epoch: 1, sequence: 5)
        tracker.note("a", sequence: 5, oldest: start + 50, newest: start + 55)
        #expect(tracker.streams["a"]?.missing == [MissingRange(2...4, after: start + 5, before: start + 50)])
        // The tail is known from a hello; its end from the next message.
        #expect(tracker.expect("a", epoch: 1, through: 7) == 2)
        #expect(tracker.expect("a", epoch: 1, through: 9) == 2)
        #expect(missing(tracker) == [2...4, 6...9])
        _ = tracker.judge("a", epoch: 1, sequence: 10)
        tracker.note("a", sequence: 10, oldest: start + 90, newest: start + 90)
        #expect(tracker.streams["a"]?.missing.last == MissingRange(6...9, after: start + 55, before: start + 90))
    }

    @Test func aLossWithoutAnEndGetsItFromTheNextMessage() {
        var tracker = SequenceTracker()
        let start = Timestamp.seconds(1000)
        _ = tracker.judge("a", epoch: 1, sequence: 1)
        tracker.note("a", sequence: 1, oldest: start, newest: start)
        tracker.expect("a", epoch: 1, through: 4)
        let given = tracker.giveUp("a", epoch: 1, 1...3, .gone)
        #expect(given)
        #expect(missing(tracker) == [4...4])
        let lost = tracker.takeLost()
        #expect(
            lost == [LostRange(aggregator: "a", epoch: 1, first: 2, last: 3, after: start, before: nil, reason: .gone)])
        _ = tracker.judge("a", epoch: 1, sequence: 5)
        tracker.note("a", sequence: 5, oldest: start + 9, newest: start + 9)
        let ends = tracker.takeEnds()
        #expect(ends == ["a": start + 9])
    }

    @Test func aShuffledStreamEndsCompleteAndNothingIsTakenTwice() {
        for seed in 1...20 as ClosedRange<UInt64> {
            var tracker = SequenceTracker()
            var order = Array(1...500 as ClosedRange<UInt64>) + Array(1...500)
            var state = seed
            for k in order.indices.reversed() {
                state = state &* 6_364_136_223_846_793_005 &+ 1
                order.swapAt(k, Int(state >> 33) % (k + 1))
            }
            var taken: [UInt64] = []
            for sequence in order where tracker.judge("a", epoch: 1, sequence: sequence).isTaken {
                taken.append(sequence)
            }
            #expect(taken.sorted() == Array(1...500))
            #expect(tracker.streams["a"]?.missingCount == 0)
        }
    }

    @Test func moreGapsThanAreKeptAreNotTakenAndNothingIsDoubledWhenTheyComeAgain() {
        var tracker = SequenceTracker()
        let sequences = (1...3000 as ClosedRange<UInt64>).filter { $0 % 2 == 0 }
        var taken = Set<UInt64>()
        for sequence in sequences where tracker.judge("a", epoch: 1, sequence: sequence).isTaken {
            taken.insert(sequence)
        }
        #expect(taken.count == SequenceTracker.maximumRanges)
        var doubled = 0
        for _ in 0..<3 {
            for sequence in 1...3000 as ClosedRange<UInt64>
            where tracker.judge("a", epoch: 1, sequence: sequence).isTaken {
                if !taken.insert(sequence).inserted { doubled += 1 }
            }
        }
        #expect(doubled == 0)
        #expect(taken.count == 3000)
    }
}

@Suite struct ControlDeskTests {
    private let peer: [UInt8] = [0, 1, 2, 3, 4]

    private func hello(
        _ desk: inout ControlDesk, _ stream: StreamPosition?, last: UInt64, firstKept: UInt64 = 1, now: Double
    )
        -> [ControlDesk.Action]
    {
        desk.hello(
            from: peer, aggregator: "a", epoch: 1, firstKept: firstKept, last: last, stream: stream, now: now)
    }

    @Test func aLostTailIsFoundAfterTheGraceAndAskedForInPortions() {
        var desk = ControlDesk(ControlDesk.Limits(grace: 0.5, credit: 100))
        var stream = StreamPosition(epoch: 1, last: 10)
        _ = hello(&desk, stream, last: 300, now: 0)
        let early = desk.tick(now: 0.1, streams: ["a": stream], committed: [:])
        #expect(early.isEmpty)
        let later = desk.tick(now: 0.7, streams: ["a": stream], committed: [:])
        #expect(later == [.expect(aggregator: "a", epoch: 1, through: 300)])
        stream.missing = [MissingRange(11...300)]
        stream.last = 300
        let asked = desk.tick(now: 0.8, streams: ["a": stream], committed: [:])
        #expect(asked == [.send(.replay(epoch: 1, 11...110, credit: 100), to: peer)])
        // While it comes, nothing is repeated; when it has come, the next portion is asked for.
        stream.missing = [MissingRange(60...300)]
        let none = desk.tick(now: 1.5, streams: ["a": stream], committed: [:])
        #expect(none.isEmpty)
        stream.missing = [MissingRange(111...300)]
        let next = desk.tick(now: 1.6, streams: ["a": stream], committed: [:])
        #expect(next == [.send(.replay(epoch: 1, 111...210, credit: 100), to: peer)])
    }

    @Test func anAggregatorThatDoesNotAnswerIsAskedEverLessOften() {
        var desk = ControlDesk(ControlDesk.Limits(firstWait: 1, longestWait: 8, giveUp: 100))
        let stream = StreamPosition(epoch: 1, last: 10, missing: [MissingRange(3...4)])
        _ = hello(&desk, stream, last: 10, now: 0)
        var times: [Double] = []
        var given: [Double] = []
        for tenth in 0..<1100 {
            let now = Double(tenth) / 10
            for action in desk.tick(now: now, streams: ["a": stream], committed: [:]) {
                switch action {
                case .send(.replay, _): times.append(now)
                case .giveUp(_, _, _, .givenUp): given.append(now)
                default: Issue.record("unexpected \(action)")
                }
            }
        }
        let waits = zip(times, times.dropFirst()).map { $1 - $0 }
        #expect(waits.first.map { $0 < 1.5 } ?? false)
        #expect(waits.allSatisfy { $0 <= 8.2 })
        #expect(times.count < 20)
        #expect(given.first.map { abs($0 - 100) < 0.5 } ?? false)
    }

    @Test func durableIsSaidOfWhatIsCommittedAndWholeAtMostOnceASecond() {
        var desk = ControlDesk()
        let stream = StreamPosition(epoch: 1, last: 10)
        _ = hello(&desk, stream, last: 10, now: 0)
        var said: [ControlDesk.Action] = []
        for tenth in 0..<30 {
            let committed = StreamPosition(
                epoch: 1, last: UInt64(tenth), missing: tenth > 20 ? [MissingRange(7...7)] : [])
            said += desk.tick(now: Double(tenth) / 10, streams: ["a": stream], committed: ["a": committed])
        }
        #expect(
            said == [
                .send(.durable(epoch: 1, sequence: 1), to: peer), .send(.durable(epoch: 1, sequence: 11), to: peer),
                .send(.durable(epoch: 1, sequence: 6), to: peer),
            ])
        // A new connection is told again.
        _ = desk.hello(
            from: [9], aggregator: "a", epoch: 1, firstKept: 1, last: 10, stream: stream, now: 4)
        let again = desk.tick(now: 6, streams: ["a": stream], committed: ["a": StreamPosition(epoch: 1, last: 10)])
        #expect(again == [.send(.durable(epoch: 1, sequence: 10), to: [9])])
    }

    @Test func whatIsNoLongerKeptIsGivenUpAndWhatWaitsOnTheSpoolIsNot() {
        var desk = ControlDesk()
        let stream = StreamPosition(epoch: 1, last: 10, missing: [MissingRange(3...8)])
        let actions = hello(&desk, stream, last: 10, firstKept: 6, now: 0)
        #expect(actions == [.giveUp(aggregator: "a", epoch: 1, 1...5, .gone)])
        let quiet = desk.tick(now: 1, streams: ["a": stream], committed: [:], isJudged: false)
        #expect(quiet.isEmpty)
    }

    @Test(arguments: [
        #"{"type":"hello","aggregator":"a b","epoch":1,"last":1}"#,
        #"{"type":"hello","aggregator":"a","epoch":-1,"last":1}"#,
        #"{"type":"gone","epoch":1,"first":5,"last":4}"#, #"{"type":"gone","epoch":1,"first":0,"last":4}"#,
        #"{"type":"hello","aggregator":"a","epoch":18446744073709551615,"last":1}"#, "[]", "", "{",
        #"{"type":"other"}"#,
    ])
    func aControlMessageThatIsNoneIsRefused(text: String) {
        Array(text.utf8).withUnsafeBytes { bytes in
            _ = #expect(throws: ControlMessage.Mistake.self) { try ControlMessage(bytes) }
        }
    }

    @Test func controlMessagesSurviveTheWire() throws {
        let all: [ControlMessage] = [
            .hello(aggregator: "AGG-A", epoch: 5, firstKept: 2, last: 9), .data, .gone(epoch: 5, 1...3),
            .durable(epoch: 5, sequence: 8), .replay(epoch: 5, 3...7, credit: 512),
            .rejected(epoch: 5, sequence: 3, [.init(device: "d", code: "c", detail: "…")]),
        ]
        for message in all {
            let back = try message.bytes.withUnsafeBytes { try ControlMessage($0) }
            #expect(back == message)
        }
    }
}
