internal import CPowerGridModel

/// One `PGM_Handle`: where the engine leaves its errors. One a thread; not `Sendable`.
struct EngineHandle: ~Copyable {
    /// Read by the wrappers of this module only.
    let raw: OpaquePointer

    init() {
        guard let raw = PGM_create_handle() else { preconditionFailure("out of memory") }
        self.raw = raw
    }

    deinit { PGM_destroy_handle(raw) }

    /// Turns what the last call left into an error. The message dies with the next call, so it is copied.
    func check(_ operation: String) throws(PowerFlowError) {
        let code = PGM_error_code(raw)
        guard code != PGM_Idx(PGM_no_error.rawValue) else { return }
        let message = PGM_error_message(raw).map { String(cString: $0) } ?? "error \(code)"
        PGM_clear_error(raw)
        let isFailedIteration = ["converge", "singular", "Sparse matrix"].contains { message.contains($0) }
        // The engine's text on a failed iteration names its own parts and where to report them: no help to anybody.
        guard !isFailedIteration else {
            throw PowerFlowError(
                .notConverged, operation,
                message.contains("converge") ? "it does not converge" : "its equations are singular")
        }
        throw PowerFlowError(
            .invalidInput, operation, message.split(whereSeparator: \.isNewline).joined(separator: " "))
    }
}
