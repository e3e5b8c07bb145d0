internal import Foundation
internal import GridModel
internal import Messaging

/// What was heard of a publisher, judged rule by rule. Pure: messages and times go in, findings come out.
struct Conformance {
    enum Result: String { case pass, fail, unchecked = "not checked" }

    struct Finding {
        let rule: String
        let result: Result
        let seen: String
        /// What to change; empty when it passed.
        let advice: String
    }

    struct Limits {
        var messagesPerSecond, bytesPerSecond: Double
        var maximumMessage: Int
        /// As ``Plausibility`` takes them.
        var plausibleRating, nominalFrequency: Double
    }

    private let limits: Limits
    private let registry: DeviceRegistry?
    /// Whose key was let in; `nil` without keys.
    private let owner: String?

    // Encoding
    private var decoder = [TelemetryFrame.Encoding: Int]()
    private var mistakes: [String] = []
    private var mistakeCount = 0
    private(set) var messages = 0
    private(set) var samples = 0
    // Identity
    private var names: Set<String> = []
    private var strangers: Set<String> = []
    // Sequence
    private var tracker = SequenceTracker()
    private var epochs: [UInt64] = []
    private var (overtaken, repeated) = (0, 0)
    // Clock
    private var ages: [Double] = []
    private var newest: [String: Timestamp] = [:]
    private var (sameTime, ahead) = (0, 0)
    // Rate
    private var bySecond: [Int64: (messages: Int, bytes: Int)] = [:]
    private var largest = 0
    // Replay
    private var hellos = 0
    private var asked: ClosedRange<UInt64>?
    private var original: [UInt64: [UInt8]] = [:]
    private var answered: Set<UInt64> = []
    private var changed: [UInt64] = []
    private var saidGone = false
    // Ranges and signs
    private var outside: [String: String] = [:]
    private var signs: [Int32: SignTally] = [:]

    init(limits: Limits, registry: DeviceRegistry?, owner: String?) {
        self.limits = limits
        self.registry = registry
        self.owner = owner
    }

    // MARK: What was heard

    mutating func heardNonsense(_ what: String) {
        messages += 1
        note(what)
    }

    private mutating func note(_ what: String) {
        mistakeCount += 1
        if mistakes.count < 3 { mistakes.append(what) }
    }

    /// - Parameters:
    ///   - now: microseconds, wall clock.
    ///   - isReplay: it came as an answer on the control channel.
    mutating func heard(
        _ frame: TelemetryFrame, _ payload: UnsafeRawBufferPointer, _ decoder: inout TelemetryDecoder, now: Int64,
        isReplay: Bool
    ) {
        names.insert(frame.aggregator)
        if isReplay, let range = asked, range.contains(frame.sequence) {
            answered.insert(frame.sequence)
            if let before = original[frame.sequence], !before.elementsEqual(payload) { changed.append(frame.sequence) }
        }
        if !epochs.contains(frame.epoch), epochs.count < 10 { epochs.append(frame.epoch) }
        // What was sent before we listened is no gap of this publisher.
        if tracker[frame.aggregator] == nil, frame.sequence > 1 {
            tracker.expect(frame.aggregator, epoch: frame.epoch, through: frame.sequence - 1)
            _ = tracker.giveUp(frame.aggregator, epoch: frame.epoch, 1...(frame.sequence - 1), .gone)
        }
        switch tracker.judge(frame.aggregator, epoch: frame.epoch, sequence: frame.sequence) {
        case .duplicate: if !isReplay { repeated += 1 }
        case .filled: if !isReplay { overtaken += 1 }
        default: break
        }
        guard !isReplay else { return }
        messages += 1
        if asked == nil { remember(frame, payload) }
        let second = now / 1_000_000
        bySecond[second, default: (0, 0)].messages += 1
        bySecond[second, default: (0, 0)].bytes += payload.count
        largest = max(largest, payload.count)
        let count: Int
        do throws(TelemetryDecoder.MessageMistake) {
            count = try decoder.decode(payload, frame.encoding)
        } catch {
            return note("message \(frame.sequence): \(error.code): \(error.detail)")
        }
        self.decoder[frame.encoding, default: 0] += 1
        for index in 0..<count {
            samples += 1
            guard let sample = decoder.sample(index) else {
                let mistake = decoder.mistake(index)
                note("message \(frame.sequence), sample \(index + 1): \(mistake.code): \(mistake.detail)")
                continue
            }
            if let quantity = sample.notFinite {
                note("message \(frame.sequence), sample \(index + 1): \(quantity.name) is no finite number")
            } else if sample.isEmpty {
                note("message \(frame.sequence), sample \(index + 1): no quantity")
            } else {
                take(sample, now)
            }
        }
    }

    /// Kept to be asked for again: the newest twenty.
    private mutating func remember(_ frame: TelemetryFrame, _ payload: UnsafeRawBufferPointer) {
        original[frame.sequence] = Array(payload)
        if original.count > 20, let oldest = original.keys.min() { original[oldest] = nil }
    }

    private mutating func take(_ sample: TelemetrySample, _ now: Int64) {
        let name = String(decoding: sample.device, as: UTF8.self)
        let age = Double(now - sample.time.microseconds) / 1e6
        if ages.count < 200_000 { ages.append(age) }
        if age < -5 { ahead += 1 }
        if newest[name] == sample.time { sameTime += 1 }
        newest[name] = max(newest[name] ?? .distantPast, sample.time)
        guard let registry else { return }
        guard let index = registry.index[name] else {
            strangers.insert(name)
            return
        }
        let device = registry.devices[Int(index)]
        let (power, voltage) = (sample.totalPower, sample.meanVoltage)
        let plausibility = Plausibility(
            device, meterFactor: limits.plausibleRating, nominalFrequency: limits.nominalFrequency)
        if plausibility.excludes(sample, power: power, voltage: voltage), outside[name] == nil {
            let values = Quantity.allCases.filter { sample.has($0) }.map { "\($0.name) \(sample[$0])" }
            outside[name] =
                "\(values.prefix(4).joined(separator: ", ")) (rating \(Int(device.rating)) W, base \(Int(device.voltageBase)) V)"
        }
        if device.kind.isDER, sample.quality.grade != .bad {
            signs[index, default: SignTally()].add(sample.time, power: power, charge: sample[.stateOfCharge])
        }
    }

    mutating func heardHello(_ aggregator: String) {
        hellos += 1
        names.insert(aggregator)
    }

    mutating func heardGone() { saidGone = true }

    /// The range to ask for again, once there is something to ask for.
    mutating func rangeToAsk() -> (epoch: UInt64, ClosedRange<UInt64>)? {
        guard asked == nil, hellos > 0, original.count >= 5, let epoch = epochs.last else { return nil }
        let numbers = original.keys.sorted()
        let range = numbers[0]...numbers[4]
        asked = range
        return (epoch, range)
    }

    var isReplayDone: Bool { asked.map { answered.count >= $0.count } ?? false }

    // MARK: Findings

    func findings() -> [Finding] {
        [encoding(), identity(), sequence(), clock(), rate(), replay(), ranges(), sign()]
    }

    private func encoding() -> Finding {
        let kinds = decoder.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\($0.value) \($0.key.rawValue)" }
        guard messages > 0 else {
            return Finding(
                rule: "encoding", result: .fail, seen: "nothing came",
                advice: "connect a PUB socket to the telemetry endpoint, and send")
        }
        return Finding(
            rule: "encoding", result: mistakeCount == 0 ? .pass : .fail,
            seen: mistakeCount == 0
                ? "\(messages) messages (\(kinds.joined(separator: ", "))), \(samples) samples"
                : "\(mistakeCount) mistakes; \(mistakes.joined(separator: "; "))",
            advice: mistakeCount == 0 ? "" : "see docs/protocol.md, \"A message: three frames\" and the encodings")
    }

    private func identity() -> Finding {
        let said = names.sorted().joined(separator: ", ")
        if names.count > 1 || owner.map({ names != [$0] }) ?? false {
            return Finding(
                rule: "identity", result: .fail,
                seen: "spoke as \(said)" + (owner.map { "; the key is of \($0)" } ?? ""),
                advice: "topic and hello must name the aggregator that the key belongs to, and no other")
        }
        guard registry != nil else {
            return Finding(
                rule: "identity", result: .unchecked, seen: "spoke as \(said)",
                advice: "name the network with --network DIR, so that devices can be known")
        }
        guard strangers.isEmpty else {
            return Finding(
                rule: "identity", result: .fail,
                seen: "\(strangers.count) unknown devices: \(strangers.sorted().prefix(3).joined(separator: ", "))",
                advice: "use the device ids of the network; ask the operator for the list")
        }
        return Finding(rule: "identity", result: .pass, seen: "\(said), \(newest.count) devices, all known", advice: "")
    }

    private func sequence() -> Finding {
        let missing = tracker.streams.values.reduce(UInt64(0)) { $0 + UInt64(clamping: $1.missingCount) }
        var problems: [(seen: String, advice: String)] = []
        let span = UInt64(946_684_800_000_000)...UInt64(4_102_444_800_000_000)
        if let odd = epochs.first(where: { !span.contains($0) }) {
            problems.append(
                ("epoch \(odd) is no moment", "epoch: microseconds since 1970 when the journal was started"))
        }
        if epochs.count > 1 {
            problems.append(("\(epochs.count) epochs", "keep one epoch as long as the journal is kept"))
        }
        if missing > 0 { problems.append(("\(missing) numbers never came", "count each message once: 1, 2, 3 …")) }
        if repeated > 0 { problems.append(("\(repeated) numbers came twice", "a number belongs to one message")) }
        if overtaken > 0 {
            problems.append(("\(overtaken) came after a later one", "one socket for one aggregator keeps the order"))
        }
        guard messages > 0 else {
            return Finding(rule: "sequence", result: .unchecked, seen: "nothing came", advice: "")
        }
        return Finding(
            rule: "sequence", result: problems.isEmpty ? .pass : .fail,
            seen: problems.isEmpty
                ? "epoch \(epochs.first ?? 0), no gap, no repetition" : problems.map(\.seen).joined(separator: "; "),
            advice: problems.map(\.advice).joined(separator: "; "))
    }

    private func clock() -> Finding {
        guard !ages.isEmpty else { return Finding(rule: "clock", result: .unchecked, seen: "no samples", advice: "") }
        let sorted = ages.sorted()
        let median = sorted[sorted.count / 2]
        let seen = "half of the samples are younger than \(Self.seconds(median))"
        if ahead > 0 {
            return Finding(
                rule: "clock", result: .fail, seen: "\(ahead) samples are more than 5 s ahead of our clock",
                advice: "time is UTC, of the measurement; keep the clock by NTP")
        }
        if sameTime > 0 {
            return Finding(
                rule: "clock", result: .fail, seen: "\(sameTime) samples repeat device and time of the one before",
                advice: "one sample a device and time: the second one would be dropped")
        }
        guard median < 900 else {
            return Finding(
                rule: "clock", result: .unchecked, seen: seen,
                advice: "this is history; let it send what is measured now")
        }
        return Finding(rule: "clock", result: .pass, seen: seen, advice: "")
    }

    private static func seconds(_ value: Double) -> String { "\((value * 10).rounded() / 10) s" }

    private func rate() -> Finding {
        guard !bySecond.isEmpty else {
            return Finding(rule: "rate", result: .unchecked, seen: "nothing came", advice: "")
        }
        // A burst of twice the rate is allowed: the mean over two seconds counts.
        func worst(_ value: (Int64) -> Int) -> Double {
            bySecond.keys.map { Double(value($0) + value($0 - 1)) / 2 }.max() ?? 0
        }
        let perSecond = worst { bySecond[$0]?.messages ?? 0 }
        let bytes = worst { bySecond[$0]?.bytes ?? 0 }
        let share = Double(samples) / Double(max(1, messages))
        let seen =
            "at most \(Int(perSecond)) messages and \(Int(bytes)) bytes a second, largest message \(largest) bytes"
        if largest > limits.maximumMessage {
            return Finding(
                rule: "rate", result: .fail, seen: seen,
                advice: "a message may have \(limits.maximumMessage) bytes: split it")
        }
        if limits.messagesPerSecond > 0, perSecond > limits.messagesPerSecond {
            return Finding(
                rule: "rate", result: .fail, seen: seen,
                advice: "at most \(Int(limits.messagesPerSecond)) messages a second"
                    + (share < 10
                        ? ": put samples of a second into one message (now \(Self.seconds(share).dropLast(2)) a message)"
                        : ""))
        }
        if limits.bytesPerSecond > 0, bytes > limits.bytesPerSecond {
            return Finding(
                rule: "rate", result: .fail, seen: seen,
                advice: "at most \(Int(limits.bytesPerSecond)) bytes a second: send less often, or Protobuf")
        }
        return Finding(rule: "rate", result: .pass, seen: seen, advice: "")
    }

    private func replay() -> Finding {
        func failed(_ seen: String, _ advice: String) -> Finding {
            Finding(rule: "replay", result: .fail, seen: seen, advice: advice)
        }
        guard hellos > 0 else {
            return failed(
                "no hello on the control channel", "connect a DEALER and say hello once a second; see docs/protocol.md")
        }
        guard let asked else {
            return Finding(
                rule: "replay", result: .unchecked, seen: "fewer than five messages came",
                advice: "listen longer: --for")
        }
        if saidGone {
            return failed(
                "\(asked) was gone, and it had not been called durable", "keep every message until it is durable")
        }
        guard answered.count == asked.count else {
            return failed(
                "asked for \(asked), \(answered.count) of \(asked.count) came",
                "answer replay with {\"type\":\"data\"} and the three frames of each message")
        }
        guard changed.isEmpty else {
            return failed(
                "message \(changed[0]) came back different",
                "send the very bytes again: the journal keeps them, it does not make them")
        }
        return Finding(rule: "replay", result: .pass, seen: "\(asked) came back unchanged", advice: "")
    }

    private func ranges() -> Finding {
        guard registry != nil else {
            return Finding(rule: "ranges", result: .unchecked, seen: "ratings are not known", advice: "--network DIR")
        }
        guard samples > 0 else { return Finding(rule: "ranges", result: .unchecked, seen: "no samples", advice: "") }
        let first = outside.min { $0.key < $1.key }
        return Finding(
            rule: "ranges", result: outside.isEmpty ? .pass : .fail,
            seen: first.map { "\(outside.count) devices outside; \($0.key): \($0.value)" } ?? "all physically possible",
            advice: outside.isEmpty ? "" : "check units (W, var, V line to neutral below 1 kV, %) and scale factors")
    }

    private func sign() -> Finding {
        guard let registry else {
            return Finding(rule: "sign", result: .unchecked, seen: "kinds are not known", advice: "--network DIR")
        }
        var wrong: [String] = []
        var (right, unknown) = (0, 0)
        for (index, tally) in signs.sorted(by: { $0.key < $1.key }) {
            let device = registry.devices[Int(index)]
            guard [.photovoltaic, .battery, .electricVehicleCharger].contains(device.kind) else { continue }
            switch tally.verdict(device.kind, rating: device.rating) {
            case .wrong: wrong.append("\(device.name) (\(device.kind.rawValue))")
            case .right: right += 1
            case .unknown: unknown += 1
            }
        }
        let seen = "\(right) right, \(wrong.count) wrong, \(unknown) too quiet to tell"
        if !wrong.isEmpty {
            return Finding(
                rule: "sign", result: .fail, seen: "\(seen): \(wrong.prefix(3).joined(separator: ", "))",
                advice: "positive is into the grid: PV gives by day, a battery that gives empties, a charger takes")
        }
        guard right > 0 else {
            return Finding(
                rule: "sign", result: .unchecked, seen: seen,
                advice: "listen while PV is above 2 % of its rating, vehicles charge, and a battery's charge moves")
        }
        return Finding(rule: "sign", result: .pass, seen: seen, advice: "")
    }
}
