internal import Foundation

/// Which path takes which methods, as the published description says: one place for the document, the `Allow` header, and
/// the difference between what is not there and what cannot be done to it.
struct RouteTable: Sendable {
    private struct Route: Sendable {
        /// `nil`: any segment.
        var pattern: [String?]
        var methods: [String]
    }

    /// OpenAPI 3.1 in JSON; `nil`: the file is not installed.
    let document: [UInt8]?
    private let routes: [Route]

    init(file: String) {
        document = FileManager.default.contents(atPath: file).map(Array.init)
        let known = ["get", "put", "post", "delete"]
        let root = document.flatMap { try? JSONSerialization.jsonObject(with: Data($0)) } as? [String: Any]
        routes = (root?["paths"] as? [String: [String: Any]] ?? [:]).map { path, operations in
            Route(
                pattern: path.split(separator: "/").map { $0.hasPrefix("{") ? nil : String($0) },
                methods: known.filter { operations[$0] != nil }.map { $0.uppercased() })
        }
    }

    /// - Parameter path: with `v1`.
    /// - Returns: nothing: there is no such path.
    func methods(_ path: [String]) -> [String] {
        let found = routes.filter { route in
            route.pattern.count == path.count && zip(route.pattern, path).allSatisfy { $0 == nil || $0 == $1 }
        }.flatMap(\.methods)
        return found.contains("GET") ? Set(found + ["HEAD"]).sorted() : Set(found).sorted()
    }
}
