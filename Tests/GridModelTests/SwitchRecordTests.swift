import GridModel
import TestSupport
import Testing

struct SwitchRecordTests {
    private let start = Timestamp(microseconds: 1_782_000_000_000_000)

    private func saying(_ position: SwitchPosition, _ time: Double, heard: Double? = nil) -> SwitchRecord.Saying {
        .init(position: position, time: start + time, recordedAt: start + (heard ?? time))
    }

    private func hear(_ record: inout SwitchRecord, _ saying: SwitchRecord.Saying) -> Bool {
        record.take(telemetry: saying)
    }

    private func state(
        _ record: inout SwitchRecord, _ position: SwitchPosition, at time: Double? = nil, now: Double
    ) -> SwitchRecord.Saying? {
        record.take(
            statement: position, at: time.map { start + $0 }, now: start + now, wall: start + now, by: "ann")
    }

    @Test func newerTelemetryDecidesAndOlderIsHistory() {
        var record = SwitchRecord(id: "S")
        #expect(record.position == nil)
        #expect(hear(&record, saying(.closed, 10)))
        #expect(!hear(&record, saying(.open, 5, heard: 11)))
        #expect(record.position == .closed)
        #expect(hear(&record, saying(.open, 20)))
        #expect(record.position == .open)
    }

    @Test func aStatementWithoutATimeCountsFromNowAlsoWhereTelemetryIsAheadOfOurClock() {
        var record = SwitchRecord(id: "S")
        _ = record.take(telemetry: saying(.closed, 13))
        #expect(state(&record, .open, now: 10) == nil)
        #expect(record.position == .open)
        #expect(record.statement?.time == start + 13)
    }

    @Test func aStatementOfBeforeTheNewestSayingIsRefusedWithWhatIsNewer() {
        var record = SwitchRecord(id: "S")
        _ = record.take(telemetry: saying(.closed, 30))
        #expect(state(&record, .open, at: 20, now: 40)?.position == .closed)
        #expect(record.statement == nil)
        #expect(state(&record, .open, at: 35, now: 40) == nil)
        #expect(record.position == .open)
    }

    @Test func telemetryThatNeverAgreesWithAStatementLeavesThePositionUnknown() {
        var record = SwitchRecord(id: "S")
        _ = record.take(telemetry: saying(.closed, 0))
        _ = state(&record, .open, now: 10)
        #expect(record.judged == .open)
        #expect(record.doubt(at: start + 11, within: 900) == .unconfirmed)
        #expect(record.doubt(at: start + 1000, within: 900) == nil)
        _ = record.take(telemetry: saying(.closed, 60))
        #expect(record.isContradicted)
        #expect(record.judged == .unknown)
        #expect(record.doubt(at: start + 5000, within: 900) == .contradicted)
        // A person gives way, or telemetry does.
        var other = record
        _ = state(&other, .closed, now: 70)
        #expect(other.judged == .closed)
        #expect(other.doubt(at: start + 71, within: 900) == nil)
        _ = record.take(telemetry: saying(.open, 80))
        #expect(record.judged == .open)
        #expect(!record.isContradicted)
    }

    @Test func telemetryThatHasAgreedMayMoveOn() {
        var record = SwitchRecord(id: "S")
        _ = state(&record, .open, now: 0)
        _ = record.take(telemetry: saying(.open, 5))
        _ = record.take(telemetry: saying(.closed, 60))
        #expect(record.judged == .closed)
        #expect(record.doubt(at: start + 61, within: 900) == nil)
    }

    @Test func telemetryThatWasOnItsWayWhenAStatementWasMadeIsHeldAgainstIt() {
        var record = SwitchRecord(id: "S")
        _ = record.take(telemetry: saying(.closed, 0))
        _ = state(&record, .closed, now: 20)
        let before = record.moves
        _ = record.take(telemetry: saying(.open, 10, heard: 30))
        #expect(record.judged == .closed)
        #expect(record.doubt(at: start + 31, within: 900) == .unconfirmed)
        // What was approved rested on there being no doubt.
        #expect(record.moves == before + 1)
        _ = record.take(telemetry: saying(.open, 15, heard: 32))
        #expect(record.moves == before + 1)
        // The doubt ends when telemetry follows: no movement. And what was on its way may be in agreement, too.
        _ = record.take(telemetry: saying(.closed, 40))
        #expect(record.doubt(at: start + 41, within: 900) == nil)
        #expect(record.moves == before + 1)
    }

    @Test func theFirstTelemetryIsADoubtWhereItSaysOtherwiseThanAnOlderStatement() {
        var record = SwitchRecord(id: "S")
        _ = state(&record, .closed, now: 20)
        let before = record.moves
        _ = record.take(telemetry: saying(.open, 10, heard: 30))
        #expect(record.doubt(at: start + 31, within: 900) == .unconfirmed)
        #expect(record.moves == before + 1)
    }

    @Test func aSwitchOnItsWayContradictsNobody() {
        var record = SwitchRecord(id: "S")
        _ = state(&record, .closed, now: 0)
        _ = record.take(telemetry: saying(.intermediate, 5))
        #expect(!record.isContradicted)
        #expect(record.judged == .intermediate)
    }

    @Test func aBlinkIsTwoMovesAndARepetitionIsNone() {
        var record = SwitchRecord(id: "S")
        _ = record.take(telemetry: saying(.closed, 0))
        let before = record.moves
        _ = record.take(telemetry: saying(.closed, 5))
        #expect(record.moves == before)
        _ = record.take(telemetry: saying(.open, 10))
        _ = record.take(telemetry: saying(.closed, 10.15))
        #expect(record.position == .closed)
        #expect(record.moves == before + 2)
    }

    /// A clock that was set back makes no telemetry old.
    @Test func aNegativeAgeIsHeldAgainstAStatement() {
        var record = SwitchRecord(id: "S")
        _ = record.take(telemetry: saying(.closed, 0, heard: 1200))
        _ = state(&record, .open, now: 10)
        #expect(record.doubt(at: start + 11, within: 900) == .unconfirmed)
    }

    /// Against a model that keeps everything that was ever said and looks for the newest.
    @Test(arguments: 0..<40) func anyOrderGivesTheNewestSaying(seed: Int) {
        var random = SplitMix(seed: UInt64(seed))
        var record = SwitchRecord(id: "S")
        var telemetry: (time: Double, position: SwitchPosition)?
        var statement: (time: Double, position: SwitchPosition, hasAgreed: Bool)?
        var clock = 100.0
        for _ in 0..<200 {
            clock += Double(Int.random(in: 0...30, using: &random))
            let position: SwitchPosition = Bool.random(using: &random) ? .open : .closed
            if Int.random(in: 0..<3, using: &random) > 0 {
                // Early, late, repeated.
                let time = clock - Double(Int.random(in: -4...60, using: &random))
                let isTaken = record.take(telemetry: saying(position, time, heard: clock))
                #expect(isTaken == (telemetry.map { $0.time <= time } ?? true))
                if isTaken {
                    telemetry = (time, position)
                    if let said = statement, said.position == position || time <= said.time {
                        statement?.hasAgreed = said.position == position
                    }
                }
            } else {
                let newest = max(telemetry?.time ?? -.infinity, statement?.time ?? -.infinity)
                let isTimed = Bool.random(using: &random)
                let time = isTimed ? clock - Double(Int.random(in: 0...40, using: &random)) : max(clock, newest)
                let refused = state(&record, position, at: isTimed ? time : nil, now: clock) != nil
                #expect(refused == (time < newest))
                if !refused { statement = (time, position, telemetry?.position == position) }
            }
            let isStated = (statement?.time ?? -.infinity) >= (telemetry?.time ?? -.infinity)
            let expected = isStated ? statement?.position : telemetry?.position
            #expect(record.position == expected)
            let isDoubted =
                !isStated && statement.map { !$0.hasAgreed && $0.position != telemetry?.position } ?? false
            #expect(record.judged == (isDoubted ? .unknown : expected))
        }
    }
}
