internal import Foundation
internal import Glibc
internal import Messaging
internal import ServiceKit

/// The service's own CURVE key, by which publishers know that they speak to it.
enum ServerKey {
    static func path(_ settings: Settings, dataDirectory: String) -> String {
        let named = settings.text("telemetry.server_key_file")
        return named.isEmpty ? "\(dataDirectory)/curve-server.key" : named
    }

    /// Reads the key; makes one when the file is not there.
    static func load(_ settings: Settings, dataDirectory: String) throws -> CurveKeyPair {
        let path = path(settings, dataDirectory: dataDirectory)
        if let text = try? String(contentsOfFile: path, encoding: .utf8) {
            guard let pair = CurveKeyPair(secretKey: text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
                throw UsageError("\(path): expected one CURVE secret key of 40 characters (Z85)")
            }
            return pair
        }
        let pair = try CurveKeyPair.make()
        try KeyFile.writeSecret(pair.secretKey + "\n", to: path)
        Log("access").info("made a key for this service", ["file": path, "public_key": pair.publicKey])
        return pair
    }
}

/// What a publisher needs: its key pair and the service's public key, one `name = "value"` a line.
struct KeyFile {
    var aggregator: String
    var own: CurveKeyPair
    var serverKey: String

    func write(to path: String) throws {
        try Self.writeSecret(
            """
            # Key of aggregator \(aggregator) for Backfeed's telemetry. Keep it secret.
            aggregator = "\(aggregator)"
            public_key = "\(own.publicKey)"
            secret_key = "\(own.secretKey)"
            server_key = "\(serverKey)"

            """, to: path)
    }

    init(aggregator: String, own: CurveKeyPair, serverKey: String) {
        self.aggregator = aggregator
        self.own = own
        self.serverKey = serverKey
    }

    init(path: String) throws {
        let text: String
        do {
            text = try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw UsageError("\(path): cannot be read: \(error.localizedDescription)")
        }
        var values: [String: String] = [:]
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            // Z85 has no quotation mark, so what stands between two is the value.
            let parts = line.split(separator: "=", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
            if parts.count == 2 { values[parts[0]] = parts[1].trimmingCharacters(in: CharacterSet(charactersIn: "\"")) }
        }
        func value(_ name: String) throws -> String {
            guard let value = values[name] else { throw UsageError("\(path): \(name) is missing") }
            return value
        }
        guard let own = CurveKeyPair(secretKey: try value("secret_key")) else {
            throw UsageError("\(path): secret_key is no CURVE key of 40 characters (Z85)")
        }
        guard CurveKeyPair.isKey(try value("server_key")) else {
            throw UsageError("\(path): server_key is no CURVE key of 40 characters (Z85)")
        }
        self.init(aggregator: try value("aggregator"), own: own, serverKey: try value("server_key"))
    }

    /// Readable by its owner alone; an existing file is not replaced.
    static func writeSecret(_ text: String, to path: String) throws {
        try FileManager.default.createDirectory(
            atPath: URL(fileURLWithPath: path).deletingLastPathComponent().path, withIntermediateDirectories: true)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw UsageError("\(path): cannot be made: \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
            throw UsageError("\(path): cannot be written: \(String(cString: strerror(errno)))")
        }
    }
}
