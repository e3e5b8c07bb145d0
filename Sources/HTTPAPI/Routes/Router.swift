internal import Foundation
internal import GridModel
public import ServiceKit

/// Paths to answers. Testable without a socket.
public struct Router: Sendable {
    let backend: any Backend
    private let console: StaticFiles
    private let routes: RouteTable
    private let metrics: Metrics
    private let log = Log("http")

    /// - Parameters:
    ///   - consoleDirectory: the console's files.
    ///   - openAPIFile: OpenAPI 3.1 in JSON.
    public init(backend: any Backend, consoleDirectory: String, openAPIFile: String, metrics: Metrics) {
        self.backend = backend
        self.metrics = metrics
        console = StaticFiles(directory: consoleDirectory)
        routes = RouteTable(file: openAPIFile)
    }

    public func respond(_ request: Request) -> Response {
        let response: Response
        do {
            response = try route(request)
        } catch let error as APIError {
            response = error.response
        } catch {
            log.error("request failed", ["path": request.path.joined(separator: "/"), "error": "\(error)"])
            response = APIError(503, "Service unavailable", "the store cannot answer now; try again").response
        }
        metrics.add(
            "backfeed_http_requests_total", 1, ["status": String(response.status), "method": request.method],
            help: "HTTP requests answered")
        return response
    }

    private func route(_ request: Request) throws -> Response {
        let isRead = request.method == "GET" || request.method == "HEAD"
        switch (request.method, request.path.first) {
        case (_, "v1"): return try api(request, Array(request.path.dropFirst()), isRead)
        case ("GET", "healthz"): return .json("{\"status\":\"alive\"}")
        case ("GET", "readyz"):
            let readiness = backend.readiness()
            let list = { (lines: [String]) in lines.map(JSONText.quoted).joined(separator: ",") }
            let isReady = readiness.problems.isEmpty
            return .json(
                "{\"status\":\"\(isReady ? "ready" : "not ready")\",\"problems\":[\(list(readiness.problems))],\"warnings\":[\(list(readiness.warnings))]}",
                status: isReady ? 200 : 503)
        case ("GET", "metrics"):
            _ = try identify(request)
            return .text(backend.metrics(), type: "text/plain; version=0.0.4; charset=utf-8")
        default:
            guard isRead else { throw APIError.methodNotAllowed(["GET", "HEAD"]) }
            guard let file = console.file(request.path) else { throw APIError.notFound("there is no such page") }
            return file
        }
    }

    private func api(_ request: Request, _ path: [String], _ isRead: Bool) throws -> Response {
        let method = isRead ? "GET" : request.method
        try checkForm(request)
        if path == ["session"], let answer = try session(method, request) { return answer }
        var request = request
        request.identity = try identify(request)
        if let identity = request.identity { try permit(identity, request, method, path) }
        let query = Query(request.query)
        switch (method, path.count, path.first) {
        case ("GET", 1, "feeders"): return list(try backend.feeders(), next: nil)
        case ("GET", 2, "feeders"): return .json(try found(backend.feeder(path[1]), "feeder \(path[1])"))
        case ("GET", 3, "feeders") where path[2] == "profile":
            let bucket = try query.choice("bucket", ["1m", "5m", "15m", "1h", "1d"]) ?? "15m"
            let isNormal = try query.choice("view", ["switched", "normal"]) == "normal"
            let (from, until) = (try query.time("from"), try query.time("until"))
            try Self.check(from, until)
            return try table(
                try backend.profile(
                    feeder: path[1], from: from, until: until, bucket: bucket, asNormal: isNormal), request,
                quantity: query.text("quantity"))
        case ("GET", 3, "feeders") where path[2] == "statistics":
            let (from, until) = (try query.time("from"), try query.time("until"))
            try Self.check(from, until)
            return .json(
                try found(backend.statistics(feeder: path[1], from: from, until: until), "feeder \(path[1])"))
        case ("GET", 3, "feeders") where path[2] == "forecast":
            return .json(try found(backend.forecast(feeder: path[1]), "feeder \(path[1])"))
        case ("GET", 3, "feeders") where path[2] == "forecast-skill":
            let (from, until) = (try query.time("from"), try query.time("until"))
            try Self.check(from, until)
            return .json(
                try found(backend.forecastSkill(feeder: path[1], from: from, until: until), "feeder \(path[1])"))
        case ("GET", 1, "devices"):
            let (offset, limit) = try query.page(standard: 500)
            let items = try backend.devices(
                feeder: query.text("feeder"), kind: try query.choice("kind", DeviceKind.allCases.map(\.rawValue)),
                offset: offset, limit: limit + 1)
            return list(Array(items.prefix(limit)), next: items.count > limit ? offset + limit : nil)
        case ("GET", 2, "devices"): return .json(try found(backend.device(path[1]), "device \(path[1])"))
        case ("GET", 3, "devices") where path[2] == "samples":
            let (from, until) = (try query.time("from"), try query.time("until"))
            guard let from, let until else {
                throw APIError.badRequest("from and until are needed, RFC 3339 with a zone")
            }
            try Self.check(from, until)
            return try table(try backend.samples(device: path[1], from: from, until: until), request)
        case ("GET", 1, "search"):
            guard let text = query.text("q"), text.count <= 64 else {
                throw APIError.badRequest("q: expected 1 to 64 characters of a name")
            }
            return list(try backend.search(text, limit: try query.page(standard: 20).limit), next: nil)
        case ("GET", 1, "advisories"):
            var wanted = AdvisoryQuery()
            wanted.state = try query.choice("state", ["active", "open"] + AdvisoryState.allCases.map(\.rawValue))
            wanted.kind = try query.choice("kind", AdvisoryKind.allCases.map(\.rawValue))
            wanted.feeder = query.text("feeder")
            wanted.since = try query.time("since")
            let (offset, limit) = try query.page(standard: 200)
            wanted.offset = offset
            wanted.limit = limit + 1
            let items = try backend.advisories(wanted)
            return list(Array(items.prefix(limit)), next: items.count > limit ? offset + limit : nil)
        case ("GET", 1, "amendments"):
            let (offset, limit) = try query.page(standard: 200)
            let items = try backend.amendments(
                feeder: query.text("feeder"), since: try query.time("since"), until: try query.time("until"),
                limit: limit + 1, offset: offset)
            return list(Array(items.prefix(limit)), next: items.count > limit ? offset + limit : nil)
        case ("GET", 2, "advisories"): return .json(try found(backend.advisory(path[1]), "advisory \(path[1])"))
        case ("POST", 3, "advisories"):
            guard let kind = AdvisoryAct.Kind(rawValue: path[2]) else { break }
            let body: ActBody = try decode(request.body)
            var act = AdvisoryAct(kind)
            act.version = body.version
            act.reason = body.reason
            act.seconds = body.forS
            act.until = body.until
            return .json(
                try backend.act(
                    act, on: path[1], actor: try actor(request, body.actor), account: request.identity))
        case ("GET", 1, "control-room"): return .json(backend.controlRoom())
        case ("GET", 1, "advisory-rates"):
            let (from, until) = (try query.time("from"), try query.time("until"))
            try Self.check(from, until)
            return list(try backend.advisoryRates(from: from, until: until), next: nil)
        case ("GET", 1, "events"):
            let last = request.headers["last-event-id"] ?? query.text("last_event_id")
            guard let last else { return events([], after: -1, request) }
            guard let sequence = Int64(last), sequence >= 0 else {
                throw APIError.badRequest("Last-Event-ID: expected the number of an event")
            }
            return events(try backend.events(after: sequence), after: sequence, request)
        case ("GET", 1, "network"): return .json(try backend.network())
        case ("GET", 2, "network") where path[1] == "state": return .json(try backend.networkState())
        case ("PUT", 3, "network") where path[1] == "switches":
            let body: SwitchBody = try decode(request.body)
            return .json(
                try backend.setSwitch(
                    path[2], position: body.position, at: body.time, actor: try actor(request, body.actor),
                    reason: body.reason ?? ""))
        case (let method, _, "switching"):
            if let answer = try switching(method, Array(path.dropFirst()), request) { return answer }
        case (let method, _, "safety"):
            if let answer = try safety(method, Array(path.dropFirst()), request) { return answer }
        case ("GET", 1, "openapi.json"):
            guard let document = routes.document else {
                throw APIError.notFound("the file of the description is not installed")
            }
            return Response(headers: [("Content-Type", "application/json")], body: .bytes(document))
        case ("GET", 1, "audit"): return try audit(request)
        default: break
        }
        throw APIError.notFound("there is no /\(request.path.joined(separator: "/"))")
    }

    /// That the path takes the method, and the body is what it must be. No form sends that type, and a script of another
    /// site must ask first.
    private func checkForm(_ request: Request) throws {
        let allowed = routes.methods(request.path)
        guard allowed.isEmpty || allowed.contains(request.method) else { throw APIError.methodNotAllowed(allowed) }
        guard request.method == "POST" || request.method == "PUT" else { return }
        let type = request.headers["content-type"]?.split(separator: ";").first.map { $0.lowercased() }
        guard type == "application/json" else {
            throw APIError(415, "Unsupported media type", "expected Content-Type: application/json")
        }
    }

    // MARK: Pieces

    private struct ActBody: Decodable {
        var version: Int?
        var actor, reason: String?
        var forS: Double?
        var until: Timestamp?

        private enum CodingKeys: String, CodingKey {
            case version, actor, reason, until
            case forS = "for_s"
        }
    }

    private struct SwitchBody: Decodable {
        var position: SwitchPosition
        var time: Timestamp?
        var actor: String?
        var reason: String?
    }

    /// A field that we do not know may be one of ours misspelt: without `found` a step counts as done as planned, without
    /// `time` a position counts from now.
    private func refuseStrangers<Body>(_ bytes: [UInt8], in body: Body) throws {
        let sent = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]
        // As they are written: `for_s` is `forS` here.
        let known = Mirror(reflecting: body).children.compactMap(\.label).map { label in
            label.reduce(into: "") { $0 += $1.isUppercase ? "_\($1.lowercased())" : String($1) }
        }
        if let stranger = (sent ?? [:]).keys.filter({ !known.contains($0) }).min() {
            throw APIError.badRequest("\(stranger): not known here; known are \(known.joined(separator: ", "))")
        }
    }

    func decode<Body: Decodable>(_ bytes: [UInt8]) throws -> Body {
        do {
            let body: Body = try JSONDecoder().decode(Body.self, from: Data(bytes.isEmpty ? Array("{}".utf8) : bytes))
            if let name = JSONFields.repeated(bytes) {
                throw APIError.badRequest("\(name): stands twice: which of the two is meant is not said")
            }
            try refuseStrangers(bytes, in: body)
            return body
        } catch let error as DecodingError {
            let detail =
                switch error {
                case .keyNotFound(let key, _): "field \(key.stringValue) is missing"
                case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
                    "\(context.codingPath.map(\.stringValue).joined(separator: ".")): \(context.debugDescription)"
                @unknown default: "the body is not what was expected"
                }
            throw APIError.badRequest(detail)
        }
    }

    /// Who acts. Until there are accounts the service listens on loopback only and takes the caller's word.
    func actor(_ request: Request, _ named: String?) throws -> String {
        if let identity = request.identity {
            let named = named ?? request.headers["x-backfeed-actor"]
            guard named == nil || named == identity.name else {
                throw APIError(403, "Forbidden", "actor: you are \(identity.name), and act under that name only")
            }
            return identity.name
        }
        let name = named ?? request.headers["x-backfeed-actor"] ?? "operator"
        guard Identifier.isValid(name) else { throw APIError.badRequest("actor: \(Identifier.complaint(name) ?? "")") }
        return name
    }

    func found(_ text: String?, _ what: String) throws -> String {
        guard let text else { throw APIError.notFound("there is no \(what)") }
        return text
    }

    private static func check(_ from: Timestamp?, _ until: Timestamp?) throws {
        if let from, let until, from >= until { throw APIError.badRequest("from must be before until") }
    }

    func list(_ items: [String], next: Int?) -> Response {
        .json("{\"items\":[\(items.joined(separator: ","))],\"next\":\(next.map { "\"\($0)\"" } ?? "null")}")
    }

    private func events(_ backlog: [EventFrame], after sequence: Int64, _ request: Request) -> Response {
        Response(
            headers: [("Content-Type", "text/event-stream")],
            body: .events(backlog: backlog, after: sequence, digest: request.identity?.digest ?? ""))
    }

    /// `quantity=net_w,pv_w`: these columns only.
    /// - Parameter quantity: names of columns; `nil`: all.
    private func table(_ source: TableSource, _ request: Request, quantity: String? = nil) throws -> Response {
        let places: [Int]?
        let format: String?
        do {
            places = try quantity?.split(separator: ",").map { name in
                guard let place = source.columns.firstIndex(of: String(name)) else {
                    throw APIError.badRequest("quantity: expected any of \(source.columns.joined(separator: ","))")
                }
                return place
            }
            format = try Query(request.query).choice("format", ["json", "csv"])
        } catch {
            source.ended()
            throw error
        }
        let isCSV = format == "csv" || format == nil && request.headers["accept"]?.contains("text/csv") == true
        let stream = ByteStream(ended: source.ended) { stream in
            var encoder = TableEncoder(source, isCSV ? .csv : .json, places: places)
            var goesOn = true
            do {
                try source.rows { time, values in
                    encoder.append(time, values)
                    if encoder.bytes.count >= ByteStream.portion { goesOn = stream.write(encoder.take()) }
                    return goesOn
                }
            } catch {
                Log("http").error("a table was cut off", ["error": "\(error)"])
                return false
            }
            encoder.finish()
            return goesOn && stream.write(encoder.take())
        }
        let type = isCSV ? "text/csv; charset=utf-8; header=present" : "application/json"
        return Response(headers: [("Content-Type", type)], body: .stream(stream))
    }
}

/// Query parameters with errors that name them.
struct Query {
    private let values: [String: String]

    init(_ values: [String: String]) { self.values = values }

    func text(_ name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// One of these; `nil`: it is not asked for.
    func choice(_ name: String, _ allowed: [String]) throws -> String? {
        guard let value = values[name] else { return nil }
        guard allowed.contains(value) else {
            throw APIError.badRequest("\(name): expected one of \(allowed.joined(separator: ", ")); got \(value)")
        }
        return value
    }

    func time(_ name: String) throws -> Timestamp? {
        guard let value = values[name] else { return nil }
        // A plus sign in a query is a space by the rules of forms.
        guard let time = Timestamp(value.replacing(" ", with: "+")) else {
            throw APIError.badRequest("\(name): expected RFC 3339 with a zone, like 2026-06-21T11:00:00Z; got \(value)")
        }
        return time
    }

    func page(standard: Int) throws -> (offset: Int, limit: Int) {
        func number(_ name: String, _ otherwise: Int, _ range: ClosedRange<Int>) throws -> Int {
            guard let value = text(name) else { return otherwise }
            guard let number = Int(value), range.contains(number) else {
                throw APIError.badRequest("\(name): expected \(range.lowerBound) to \(range.upperBound)")
            }
            return number
        }
        return (try number("cursor", 0, 0...10_000_000), try number("limit", standard, 1...10_000))
    }
}

/// The console's files, read once: nothing of a request ever becomes a path.
struct StaticFiles: Sendable {
    private let files: [String: Response]

    init(directory: String) {
        var files: [String: Response] = [:]
        let root = URL(fileURLWithPath: directory).standardizedFileURL.path
        let types = [
            "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
            "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml",
        ]
        for case let name as String in FileManager.default.enumerator(atPath: root) ?? FileManager.DirectoryEnumerator()
        {
            let ending = name.split(separator: ".").last.map(String.init) ?? ""
            guard let type = types[ending], let data = FileManager.default.contents(atPath: "\(root)/\(name)") else {
                continue
            }
            files[name] = Response(headers: [("Content-Type", type)], body: .bytes(Array(data)))
        }
        self.files = files
    }

    func file(_ path: [String]) -> Response? { files[path.isEmpty ? "index.html" : path.joined(separator: "/")] }
}
