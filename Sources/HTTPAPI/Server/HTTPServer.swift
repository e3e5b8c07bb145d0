internal import CMicroHTTPD
internal import Foundation
internal import Glibc
internal import ServiceKit

/// libmicrohttpd behind a plain interface: complete, checked requests in, responses out.
///
/// Its threads only move bytes: requests are answered on a pool of our own, which may wait for PostgreSQL, while the
/// connection is suspended.
public final class HTTPServer: Sendable {
    public struct Configuration: Sendable {
        public var address = "127.0.0.1"
        public var port: UInt16 = 0
        /// Instead of address and port: where to make a Unix socket.
        public var socketPath: String?
        /// PEM texts; `nil`: no TLS of its own.
        public var tls: (certificate: String, key: String)?
        public var workers = 4
        public var maximumConnections = 2048
        /// Seconds a whole request may take to arrive, and an idle connection to live.
        public var requestTimeout = 10.0
        public var idleTimeout = 60.0
        public var maximumBody = 1 << 20
        /// Addresses of proxies: what they say of the client is believed. A Unix socket is only for a proxy.
        public var proxies: Set<String> = []
        public var hosts: Set<String> = ["127.0.0.1", "localhost", "[::1]"]
        public init() {}
    }

    public typealias Handler = @Sendable (Request) -> Response

    private let configuration: Configuration
    private let check: RequestCheck
    private let handler: Handler
    private let jobs: BoundedQueue<Exchange>
    private let watch: ConnectionWatch
    private let daemon = Guarded<Daemon?>(nil)
    private let listener = Guarded<UnixListener?>(nil)
    private let threads = Guarded<[WorkerThread]>([])
    /// Who is being sent a body that is still made; `nil` once the server stops.
    private let streams = Guarded<[ObjectIdentifier: StreamClient]?>([:])
    public let hub: EventHub
    private let log = Log("http")

    /// `MHD_Daemon *`: started and stopped once, by this object.
    private struct Daemon: @unchecked Sendable { let handle: OpaquePointer }

    public init(_ configuration: Configuration, hub: EventHub, handler: @escaping Handler) {
        self.configuration = configuration
        self.handler = handler
        self.hub = hub
        check = RequestCheck(maximumBody: configuration.maximumBody, hosts: configuration.hosts)
        jobs = BoundedQueue(capacity: 512)
        watch = ConnectionWatch(interval: 250)
    }

    public struct StartFailure: Error, CustomStringConvertible { public let description: String }

    /// Listens. Returns the port, 0 of a Unix socket.
    public func start() throws -> Int {
        let made = try configuration.socketPath.map { try UnixListener(path: $0) }
        listener.withLock { $0 = made }
        let context = Unmanaged.passUnretained(self).toOpaque()
        let tls = configuration.tls
        let started = Self.withCStrings(configuration.address, tls?.certificate, tls?.key) {
            address, certificate, key in
            var settings = cmhd_settings(
                address: address, port: configuration.port, listen_socket: made?.descriptor ?? -1, threads: 2,
                connection_limit: UInt32(configuration.maximumConnections),
                timeout_s: UInt32(configuration.idleTimeout),
                memory_limit: 16 * 1024, certificate: certificate, key: key)
            return cmhd_start(
                &settings, { Callbacks.access($0, $1, $2, $3, $4, $5, $6, $7) }, context,
                { Callbacks.completed($0, $1, $2, $3) }, { Callbacks.connection($0, $1, $2, $3) }, { _, _, _ in })
        }
        guard let started else {
            let place = made.map { "unix:\($0.path)" } ?? "\(configuration.address):\(configuration.port)"
            // libmicrohttpd does not say what it did not like; what the network says is one of these.
            let reason =
                tls != nil && ![EADDRINUSE, EACCES, EADDRNOTAVAIL].contains(errno)
                ? "http.tls_certificate and http.tls_key: expected PEM, a certificate (chain) and its key"
                : String(cString: strerror(errno))
            made?.remove()
            throw StartFailure(description: "http.listen: cannot listen on \(place): \(reason)")
        }
        daemon.withLock { $0 = Daemon(handle: started) }
        for number in 0..<configuration.workers {
            let thread = WorkerThread(name: "http.worker\(number)") { [self] in work() }
            threads.withLock { $0.append(thread) }
        }
        return made == nil ? Int(cmhd_port(started)) : 0
    }

    /// Only while it starts: libmicrohttpd keeps what it made of them.
    private static func withCStrings<Result>(
        _ address: String, _ certificate: String?, _ key: String?,
        _ body: (UnsafePointer<CChar>, UnsafePointer<CChar>?, UnsafePointer<CChar>?) -> Result
    ) -> Result {
        address.withCString { address in
            guard let certificate, let key else { return body(address, nil, nil) }
            return certificate.withCString { certificate in key.withCString { body(address, certificate, $0) } }
        }
    }

    /// Ends the streams, answers what is under way, closes.
    public func stop() {
        hub.close()
        jobs.close()
        for thread in threads.withLock({ $0 }) { thread.join() }
        let sending = streams.withLock { streams in
            defer { streams = nil }
            return streams.map { Array($0.values) } ?? []
        }
        for client in sending { client.stream.abort() }
        watch.finish()
        if let daemon = daemon.withLock({ $0.take() }) { MHD_stop_daemon(daemon.handle) }
        listener.withLock { $0.take() }?.remove()
    }

    private func work() {
        while case .element(let exchange) = jobs.take() {
            let response = handler(exchange.request())
            exchange.answer.withLock { $0 = response }
            MHD_resume_connection(exchange.connection)
        }
    }

    // MARK: On libmicrohttpd's threads

    fileprivate func connectionChanged(_ socket: CInt, started: Bool) {
        if started { watch.expect(socket, within: configuration.requestTimeout) } else { watch.forget(socket) }
    }

    fileprivate func begin(
        _ connection: OpaquePointer, url: String, method: String, version: String
    ) -> Exchange {
        var headers: [(name: String, value: String)] = []
        Self.values(connection, .HEADER_KIND) { headers.append(($0, $1)) }
        let isOfProxy = { (name: String) in ["x-forwarded-proto", "x-real-ip"].contains(name.lowercased()) }
        if configuration.tls != nil {
            // What a proxy would say of the client we know ourselves, and believe nobody else.
            headers.removeAll { isOfProxy($0.name) }
            headers += [("X-Forwarded-Proto", "https"), ("X-Real-IP", Self.address(connection))]
        } else if configuration.socketPath == nil, !configuration.proxies.contains(Self.address(connection)),
            headers.contains(where: { isOfProxy($0.name) })
        {
            // Whoever came directly may claim any address. That somebody may be behind it stays known.
            headers.removeAll { isOfProxy($0.name) }
            headers.append(("X-Real-IP", Self.address(connection)))
        }
        let exchange = Exchange(connection, method: method, url: url, headers: headers)
        var isDecodable = true
        Self.values(connection, .GET_ARGUMENT_KIND) { name, value in
            guard let name = name.removingPercentEncoding, let value = value.removingPercentEncoding else {
                isDecodable = false
                return
            }
            exchange.query[name] = value
        }
        isDecodable = exchange.splitPath() && isDecodable
        exchange.refusal =
            (isDecodable ? nil : .badRequest("the target holds a percent sign that encodes no UTF-8"))
            ?? check.complaint(method: method, version: version, headers: headers)
            ?? check.complaint(crossSite: exchange.headers, method: method)
        return exchange
    }

    /// Called again and again with body bytes, then with none, then once more with an answer.
    fileprivate func proceed(_ exchange: Exchange, _ data: UnsafePointer<CChar>?, _ size: UnsafeMutablePointer<Int>)
        -> MHD_Result
    {
        if size.pointee > 0 {
            if exchange.refusal == nil, exchange.body.count + size.pointee > configuration.maximumBody {
                exchange.refusal = APIError(
                    413, "Content too large", "at most \(configuration.maximumBody) bytes are taken")
            }
            if exchange.refusal == nil, let data {
                exchange.body += UnsafeRawBufferPointer(start: data, count: size.pointee)
            }
            size.pointee = 0
            return .YES
        }
        watch.forget(cmhd_socket(exchange.connection))
        if let refusal = exchange.refusal { return queue(refusal.response, exchange, close: true) }
        if let response = exchange.answer.withLock({ $0 }) { return queue(response, exchange, close: false) }
        MHD_suspend_connection(exchange.connection)
        if case .closed = jobs.offer(exchange) {
            exchange.answer.withLock { $0 = APIError(503, "Service unavailable", "the service is stopping").response }
            MHD_resume_connection(exchange.connection)
        }
        return .YES
    }

    fileprivate func refuseEarly(_ exchange: Exchange) -> MHD_Result {
        guard let refusal = exchange.refusal else { return .YES }
        watch.forget(cmhd_socket(exchange.connection))
        return queue(refusal.response, exchange, close: true)
    }

    fileprivate func completed(_ connection: OpaquePointer) {
        // The connection may carry another request: it too must come in time.
        watch.expect(cmhd_socket(connection), within: configuration.idleTimeout + configuration.requestTimeout)
    }

    private static func address(_ connection: OpaquePointer) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET_ADDRSTRLEN)) { text in
            guard let start = text.baseAddress else { return "" }
            cmhd_address(connection, start)
            return String(cString: start)
        }
    }

    private func queue(_ response: Response, _ exchange: Exchange, close: Bool) -> MHD_Result {
        let made: OpaquePointer?
        switch response.body {
        case .bytes(let bytes):
            var bytes = bytes
            made = MHD_create_response_from_buffer(bytes.count, &bytes, .RESPMEM_MUST_COPY)
        case .events(let backlog, let after, let digest):
            // A stream lasts for hours, and nobody reads again what asked for it.
            exchange.forget()
            let client = EventClient(hub, exchange.connection, backlog: backlog, after: after, digest: digest)
            made = MHD_create_response_from_callback(
                cmhd_size_unknown, 1024, { Callbacks.read($0, $1, $2, $3) },
                Unmanaged.passRetained(client).toOpaque(),
                { Callbacks.free($0) })
        case .stream(let stream):
            let client = StreamClient(stream, exchange.connection) { [streams] client in
                streams.withLock { $0?[ObjectIdentifier(client)] = nil }
            }
            let isStopping = streams.withLock { streams in
                streams?[ObjectIdentifier(client)] = client
                return streams == nil
            }
            // A connection that is suspended while the daemon stops would hang it.
            if isStopping { stream.abort() }
            made = MHD_create_response_from_callback(
                cmhd_size_unknown, ByteStream.portion, { Callbacks.readStream($0, $1, $2, $3) },
                Unmanaged.passRetained(client).toOpaque(), { Callbacks.freeStream($0) })
        }
        guard let made else { return .NO }
        defer { MHD_destroy_response(made) }
        for (name, value) in response.headers + Self.fixedHeaders { MHD_add_response_header(made, name, value) }
        if configuration.tls != nil {
            MHD_add_response_header(made, "Strict-Transport-Security", "max-age=31536000")
        }
        if close { MHD_add_response_header(made, "Connection", "close") }
        return MHD_queue_response(exchange.connection, response.status, made)
    }

    private static let fixedHeaders: [(name: String, value: String)] = [
        ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"),
        ("X-Frame-Options", "DENY"),
        (
            "Content-Security-Policy",
            "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
        ),
    ]

    private static func values(_ connection: OpaquePointer, _ kind: MHD_ValueKind, _ body: (String, String) -> Void) {
        withoutActuallyEscaping(body) { body in
            var box = ValueVisitor(body: body)
            withUnsafeMutablePointer(to: &box) {
                _ = MHD_get_connection_values(connection, kind, { Callbacks.value($0, $1, $2, $3) }, $0)
            }
        }
    }
}

private struct ValueVisitor { let body: (String, String) -> Void }

/// One request on its way through. Touched by the connection's thread, and by one worker while the connection is
/// suspended; `answer` is what passes between them. Hence `@unchecked Sendable`.
private final class Exchange: @unchecked Sendable {
    let connection: OpaquePointer
    let method: String
    let url: String
    private var path: [String] = []
    var query: [String: String] = [:]
    private(set) var headers: [String: String]
    var body: [UInt8] = []
    var refusal: APIError?
    var isFirstCall = true
    let answer = Guarded<Response?>(nil)

    init(_ connection: OpaquePointer, method: String, url: String, headers: [(name: String, value: String)]) {
        self.connection = connection
        self.method = method
        self.url = url
        self.headers = Dictionary(
            headers.map { ($0.name.lowercased(), $0.value) }, uniquingKeysWith: { first, _ in first })
    }

    func forget() { (query, headers, body) = ([:], [:], []) }

    /// Splits the path, then decodes its segments: an id may hold a slash, as `%2F`.
    ///
    /// - Returns: false where a segment cannot be decoded.
    func splitPath() -> Bool {
        for segment in url.split(separator: "/") {
            guard let text = segment.removingPercentEncoding, !text.utf8.contains(0) else { return false }
            path.append(text)
        }
        return true
    }

    func request() -> Request {
        Request(method: method, path: path, query: query, headers: headers, body: body)
    }
}

/// One client of the event stream, owned by its response. `@unchecked Sendable`: libmicrohttpd calls a response's reader
/// on the connection's one thread.
private final class EventClient: @unchecked Sendable {
    private let hub: EventHub
    private let connection: EventHub.Connection
    private let digest: String
    private var cursor: Int
    private let joined: Int
    private let after: Int64
    /// The store holds more than was read: the stream ends behind it, and the client comes back for the rest.
    private let isPartial: Bool
    private var pending: PendingBytes

    init(_ hub: EventHub, _ connection: OpaquePointer, backlog: [EventFrame], after: Int64, digest: String) {
        self.hub = hub
        self.digest = digest
        self.connection = EventHub.Connection(handle: connection)
        let place = hub.join(digest)
        joined = place.now
        // A client that resumes starts at the oldest frame: what was published between reading the store and joining is
        // in the ring, and what it has had already is known by its number.
        cursor = after >= 0 ? place.oldest : place.now
        self.after = max(after, backlog.last?.sequence ?? 0)
        isPartial = backlog.count >= EventFrame.backlogLimit
        pending = PendingBytes(Array("retry: 1000\n\n".utf8) + backlog.flatMap(\.bytes))
    }

    func read(_ buffer: UnsafeMutablePointer<CChar>, _ maximum: Int) -> Int {
        if pending.isEmpty {
            if isPartial { return cmhd_end_of_stream }
            switch hub.next(cursor: cursor, joined: joined, after: after, digest: digest, connection: connection) {
            case .bytes(let bytes, let next):
                pending = PendingBytes(bytes)
                cursor = next
            case .suspended:
                pending = PendingBytes()
                return 0
            case .ended: return cmhd_end_of_stream
            }
        }
        return pending.read(into: buffer, maximum)
    }

    func leave() { hub.leave(digest) }
}

/// What C calls. Formed here, in a plain enum: a closure of `main` would be taken as main-actor and trap.
private enum Callbacks {
    static func access(
        _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?, _ url: UnsafePointer<CChar>?,
        _ method: UnsafePointer<CChar>?, _ version: UnsafePointer<CChar>?, _ data: UnsafePointer<CChar>?,
        _ size: UnsafeMutablePointer<Int>?, _ state: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
    ) -> MHD_Result {
        guard let context, let connection, let url, let method, let version, let size, let state else { return .NO }
        let server = Unmanaged<HTTPServer>.fromOpaque(context).takeUnretainedValue()
        if let known = state.pointee {
            return server.proceed(Unmanaged<Exchange>.fromOpaque(known).takeUnretainedValue(), data, size)
        }
        let exchange = server.begin(
            connection, url: String(cString: url), method: String(cString: method), version: String(cString: version))
        state.pointee = Unmanaged.passRetained(exchange).toOpaque()
        // A refusal is said before the body is read: its length cannot be trusted.
        return exchange.refusal == nil ? .YES : server.refuseEarly(exchange)
    }

    static func completed(
        _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?,
        _ state: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ code: MHD_RequestTerminationCode
    ) {
        if let known = state?.pointee {
            Unmanaged<Exchange>.fromOpaque(known).release()
            state?.pointee = nil
        }
        guard let context, let connection else { return }
        Unmanaged<HTTPServer>.fromOpaque(context).takeUnretainedValue().completed(connection)
    }

    static func connection(
        _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?,
        _ socketContext: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ code: MHD_ConnectionNotificationCode
    ) {
        guard let context, let connection else { return }
        Unmanaged<HTTPServer>.fromOpaque(context).takeUnretainedValue()
            .connectionChanged(cmhd_socket(connection), started: cmhd_connection_is_started(code) != 0)
    }

    static func value(
        _ context: UnsafeMutableRawPointer?, _ kind: MHD_ValueKind, _ name: UnsafePointer<CChar>?,
        _ value: UnsafePointer<CChar>?
    ) -> MHD_Result {
        guard let context, let name else { return .NO }
        context.assumingMemoryBound(to: ValueVisitor.self).pointee.body(
            String(cString: name), value.map { String(cString: $0) } ?? "")
        return .YES
    }

    static func read(
        _ context: UnsafeMutableRawPointer?, _ position: UInt64, _ buffer: UnsafeMutablePointer<CChar>?, _ maximum: Int
    ) -> Int {
        guard let context, let buffer else { return cmhd_end_with_error }
        return Unmanaged<EventClient>.fromOpaque(context).takeUnretainedValue().read(buffer, maximum)
    }

    static func readStream(
        _ context: UnsafeMutableRawPointer?, _ position: UInt64, _ buffer: UnsafeMutablePointer<CChar>?, _ maximum: Int
    ) -> Int {
        guard let context, let buffer else { return cmhd_end_with_error }
        return Unmanaged<StreamClient>.fromOpaque(context).takeUnretainedValue().read(buffer, maximum)
    }

    static func freeStream(_ context: UnsafeMutableRawPointer?) {
        guard let context else { return }
        Unmanaged<StreamClient>.fromOpaque(context).takeRetainedValue().leave()
    }

    static func free(_ context: UnsafeMutableRawPointer?) {
        guard let context else { return }
        let client = Unmanaged<EventClient>.fromOpaque(context).takeRetainedValue()
        client.leave()
    }
}
