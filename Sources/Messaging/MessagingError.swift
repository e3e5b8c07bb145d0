internal import CZeroMQ

/// A libzmq call which failed, with the call's name and zmq's own code.
public struct MessagingError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Code: Hashable, Sendable { case addressInUse, terminated, timedOut, other }

    public let code: Code
    /// The C function which failed, for example `zmq_bind`.
    public let function: String
    public let endpoint: String?
    public let errno: CInt

    /// Captures the calling thread's `zmq_errno()`. Call it at once after the failing call.
    static func last(_ function: String, endpoint: String? = nil) -> Self {
        let errno = zmq_errno()
        let code: Code =
            switch errno {
            case EADDRINUSE: .addressInUse
            case ETERM: .terminated
            case EAGAIN: .timedOut
            default: .other
            }
        return Self(code: code, function: function, endpoint: endpoint, errno: errno)
    }

    public var description: String {
        let target = endpoint.map { " \($0)" } ?? ""
        return "\(function)\(target): \(String(cString: zmq_strerror(errno))) (\(errno))"
    }
}
