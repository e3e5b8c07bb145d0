public import GridModel

/// Reading back what was stored.
extension SampleStore {
    /// What is kept of a sample beside its row and counts in the analysis.
    private static let extras: [(name: String, quantity: Quantity)] = [
        ("pa", .activePowerA), ("pb", .activePowerB), ("pc", .activePowerC), ("va", .voltageA), ("vb", .voltageB),
        ("vc", .voltageC), ("tap", .tapPosition),
    ]

    /// Samples of a time range in the order of their time, in portions; late ones too, flagged.
    ///
    /// - Parameters:
    ///   - until: not included; `nil`: to the end.
    ///   - history: whose devices they are, by the numbers it gives them; those of others are left out.
    public mutating func replay(
        from: Timestamp, until: Timestamp? = nil, of history: NetworkHistory, _ body: ([Sample]) -> Void
    ) throws(StoreError) {
        let indexOfDevice = history.numberOfDeviceID
        let span =
            "time >= \(SQL.literal(from.description)) AND time < \(SQL.literal(until?.description ?? "infinity"))"
        var portion: [Sample] = []
        var isMalformed = false
        try session.use { connection throws(StoreError) in
            let hasExtras = try Self.hasExtras(span, &connection)
            let select = hasExtras ? Self.rowsWithExtras(span) : Self.rows(span)
            try connection.copyOut(select, as: "replay samples") { bytes in
                var row = CopyRow(bytes)
                guard let time = row.time(), let id = row.int4() else {
                    isMalformed = true
                    return false
                }
                guard let index = indexOfDevice[id] else { return true }
                var sample = Sample(
                    device: index, time: time, activePower: row.float4(), reactivePower: row.float4(),
                    voltage: row.float4())
                sample.stateOfCharge = row.float4()
                let interval = row.float4()
                sample.interval = interval.isNaN ? 0 : interval
                sample.quality = Quality(rawValue: UInt16(bitPattern: row.int2() ?? 0))
                if hasExtras { Self.readExtras(&row, history.voltageBases[Int(index)], &sample) }
                isMalformed = row.isMalformed
                guard !isMalformed else { return false }
                portion.append(sample)
                if portion.count >= 20_000 {
                    body(portion)
                    portion.removeAll(keepingCapacity: true)
                }
                return true
            }
        }
        guard !isMalformed else {
            throw StoreError(.conflict, "replay samples", message: "a row is not a time, a device and numbers")
        }
        if !portion.isEmpty { body(portion) }
    }

    private static let measured = """
        active_power_w, reactive_power_var, voltage_v, state_of_charge_pct, interval_s, quality
        """
    private static let isExtra = "quantity IN (\(extras.map { "\($0.quantity.rawValue)" }.joined(separator: ", ")))"

    /// Few send them, and to look for them beside each sample takes as long as all the rest.
    private static func hasExtras(_ span: String, _ connection: inout PostgresConnection) throws(StoreError) -> Bool {
        try connection.query(
            "SELECT EXISTS (SELECT FROM backfeed_store.sample_extra WHERE \(span) AND \(isExtra))", as: "replay samples"
        ).first?[0] == "t"
    }

    private static func rows(_ span: String) -> String {
        "SELECT time, device_id, \(measured) FROM backfeed_store.sample WHERE \(span) ORDER BY time, device_id"
    }

    private static func rowsWithExtras(_ span: String) -> String {
        let values = extras.map { "max(value) FILTER (WHERE quantity = \($0.quantity.rawValue)) AS \($0.name)" }
        return """
            SELECT time, device_id, \(measured), \(extras.map(\.name).joined(separator: ", ")) \
            FROM (SELECT * FROM backfeed_store.sample WHERE \(span)) s \
            LEFT JOIN (SELECT time, device_id, \(values.joined(separator: ", ")) FROM backfeed_store.sample_extra \
            WHERE \(span) AND \(isExtra) GROUP BY time, device_id) e USING (time, device_id) ORDER BY time, device_id
            """
    }

    private static func readExtras(_ row: inout CopyRow, _ voltageBase: Double, _ sample: inout Sample) {
        let power = (row.float8(), row.float8(), row.float8())
        let voltage = (row.float8(), row.float8(), row.float8())
        sample.leastPhasePower = Float(PhaseMeasures.least(power.0, power.1, power.2))
        sample.unbalance = Float(
            PhaseMeasures.unbalance(voltage.0, voltage.1, voltage.2, betweenLines: voltageBase > 1000))
        sample.tapPosition = Float(row.float8())
    }
}
