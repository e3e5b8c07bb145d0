internal import Foundation
internal import Glibc
internal import ServiceKit

/// A connection to a port of this machine. It owns its descriptor.
final class LoopbackConnection {
    let descriptor: CInt

    init(_ port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard code == 0 else { throw UsageError("no connection to port \(port): \(String(cString: strerror(errno)))") }
    }

    deinit { close(descriptor) }

    func get(_ path: String) {
        let text = "GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        _ = send(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL))
    }
}

/// One GET on a new connection, read to its end. What a client does with it is not counted.
struct HTTPGet {
    private(set) var seconds = 0.0
    private(set) var bytes = 0
    private var content: [UInt8] = []

    init(_ port: UInt16, _ path: String) throws {
        let started = SystemClock.monotonicNanoseconds
        let connection = try LoopbackConnection(port)
        connection.get(path)
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = recv(connection.descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            content += buffer[..<count]
        }
        seconds = Double(SystemClock.monotonicNanoseconds - started) / 1e9
        guard content.starts(with: Array("HTTP/1.1 200".utf8)) else {
            throw UsageError("\(path): \(String(decoding: content.prefix(300), as: UTF8.self))")
        }
        guard let head = content.firstRange(of: Array("\r\n\r\n".utf8)) else { throw UsageError("\(path): no head") }
        let isChunked = String(decoding: content[..<head.lowerBound], as: UTF8.self).lowercased().contains("chunked")
        content = isChunked ? try Self.whole(content[head.upperBound...], path) : Array(content[head.upperBound...])
        bytes = content.count
    }

    private static func whole(_ chunks: ArraySlice<UInt8>, _ path: String) throws -> [UInt8] {
        var whole: [UInt8] = []
        var place = chunks.startIndex
        while let end = chunks[place...].firstIndex(of: 0x0D),
            let size = Int(String(decoding: chunks[place..<end], as: UTF8.self), radix: 16)
        {
            if size == 0 { return whole }
            guard end + 4 + size <= chunks.endIndex else { break }
            whole += chunks[(end + 2)..<(end + 2 + size)]
            place = end + 4 + size
        }
        throw UsageError("\(path): cut off after \(whole.count) bytes")
    }

    func count(of text: String) -> Int {
        content.withUnsafeBytes { Self.count(of: text, in: $0) }
    }

    /// By `memchr`: what a client needs to look must not be what is measured.
    static func count(of text: String, in bytes: UnsafeRawBufferPointer) -> Int {
        let length = text.utf8.count
        guard var place = bytes.baseAddress, let first = text.utf8.first else { return 0 }
        let end = place + bytes.count
        var found = 0
        while let next = memchr(place, Int32(first), place.distance(to: end)) {
            let here = UnsafeRawPointer(next)
            guard here.distance(to: end) >= length else { break }
            let isHere = memcmp(here, text, length) == 0
            if isHere { found += 1 }
            place = here + (isHere ? length : 1)
        }
        return found
    }
}

/// Many readers of `/v1/events`: how long after the first of them each has a heartbeat.
struct StreamClients {
    struct Figures {
        var beats: Int
        var p99, worst: Double
    }

    private var connections: [LoopbackConnection] = []

    init(_ count: Int, port: UInt16) throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = min(limit.rlim_max, rlim_t(count + 200))
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        for _ in 0..<count {
            let connection = try LoopbackConnection(port)
            connection.get("/v1/events")
            connections.append(connection)
        }
    }

    func run(seconds: Double) throws -> Figures {
        var arrivals: [[UInt64]] = connections.map { _ in [] }
        var polled = connections.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let end = SystemClock.monotonicNanoseconds + UInt64(seconds * 1e9)
        // The first heartbeats come while the clients are still joining.
        let settled = SystemClock.monotonicNanoseconds + 2_500_000_000
        while SystemClock.monotonicNanoseconds < end {
            guard poll(&polled, nfds_t(polled.count), 200) > 0 else { continue }
            for place in polled.indices where polled[place].revents != 0 {
                let count = recv(polled[place].fd, &buffer, buffer.count, 0)
                guard count > 0 else { throw UsageError("an event stream ended") }
                let now = SystemClock.monotonicNanoseconds
                guard now > settled else { continue }
                let beats = buffer.withUnsafeBytes {
                    HTTPGet.count(of: "heartbeat\ndata", in: UnsafeRawBufferPointer(rebasing: $0[..<count]))
                }
                for _ in 0..<beats { arrivals[place].append(now) }
            }
        }
        let beats = arrivals.map(\.count).min() ?? 0
        guard beats > 2 else { throw UsageError("a client heard \(beats) heartbeats in \(Int(seconds)) s") }
        // Aligned at the end: who joined late has fewer at the beginning.
        var delays: [Double] = []
        for beat in 1..<beats {
            let moments = arrivals.map { $0[$0.count - 1 - beat] }
            let first = moments.min() ?? 0
            // A client that had one more at the very end would be a second off: it is not behind, it is ahead.
            delays += moments.map { Double($0 - first) / 1e9 }.map { $0 > 0.5 ? abs($0 - 1) : $0 }
        }
        delays.sort()
        return Figures(beats: beats - 1, p99: delays[delays.count * 99 / 100], worst: delays[delays.count - 1])
    }
}
