internal import GridModel
internal import ServiceKit
internal import Store

/// The ceiling: plain COPY BINARY of the same rows into the same table, encoded before the clock starts.
struct RawCopy {
    let conninfo: String
    let stored: StoredNetwork
    let rows: Int
    let devices: Int
    private let batchRows = 20_000

    init(conninfo: String, stored: StoredNetwork, rows: Int, devices: Int) {
        (self.conninfo, self.stored, self.rows, self.devices) = (conninfo, stored, rows, devices)
    }

    /// Seconds, in transactions of 20,000 rows on one connection.
    func run(start: Timestamp) throws -> Double {
        let blocks = encode(start)
        var connection = try PostgresConnection(conninfo)
        let started = SystemClock.monotonicNanoseconds
        for block in blocks {
            try connection.transaction("raw copy") { connection throws(StoreError) in
                var problem: StoreError?
                block.withUnsafeBytes { bytes in
                    do throws(StoreError) {
                        try connection.copy(SampleStore.copyStatement, bytes, as: "raw copy")
                    } catch {
                        problem = error
                    }
                }
                if let problem { throw problem }
            }
        }
        return Double(SystemClock.monotonicNanoseconds - started) / 1e9
    }

    private func encode(_ start: Timestamp) -> [[UInt8]] {
        let batch = SampleBatch(capacity: batchRows)
        return stride(from: 0, to: rows, by: batchRows).map { from in
            batch.reset()
            for n in from..<min(rows, from + batchRows) {
                let index = stored.registry.index[LoadPublisher.device(n, of: devices)] ?? 0
                batch.append(
                    Sample(
                        device: index, time: start + Double(n / devices), activePower: Float(n % 9973),
                        reactivePower: Float(n % 997), voltage: 230 + Float(n % 13) / 10),
                    deviceID: stored.deviceIDs[Int(index)], areaID: stored.areaIDs[Int(index)], current: .nan,
                    frequency: .nan, state: 0)
            }
            return batch.copyBytes()
        }
    }
}
