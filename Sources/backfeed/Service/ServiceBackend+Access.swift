internal import GridModel
internal import HTTPAPI
internal import ServiceKit
internal import Store

/// Slows down whoever guesses passwords: failures by account and by address, kept in memory.
final class LoginGuard: Sendable {
    /// Failures that are let pass in so many seconds, of an account at one address and of an address.
    private let failuresOfAccount, failuresOfAddress: Int
    private let seconds: Double
    /// Hashes at once, of 64 MiB each.
    private static let atOnce = 2

    private struct State {
        var failures: [String: [Timestamp]] = [:]
        var underWay = 0
    }
    private let state = Guarded(State())

    init(_ settings: Settings) {
        failuresOfAccount = settings.integer("access.failures_per_account")
        failuresOfAddress = settings.integer("access.failures_per_address")
        seconds = settings.number("access.failure_window_s")
    }

    /// Seconds to wait; `nil`: go on, and say ``finished(_:_:isRight:now:)``.
    func begin(_ name: String, _ address: String, now: Timestamp) -> Double? {
        state.withLock { state in
            for key in Array(state.failures.keys) {
                state.failures[key]?.removeAll { now - $0 > seconds }
                if state.failures[key]?.isEmpty ?? true { state.failures[key] = nil }
            }
            for (key, most) in keys(name, address) {
                if let failed = state.failures[key], failed.count >= most, let first = failed.first {
                    return max(1, seconds - (now - first))
                }
            }
            guard state.underWay < Self.atOnce else { return 1 }
            state.underWay += 1
            return nil
        }
    }

    /// - Parameter isRight: whether the password was; `nil`: it could not be looked up, which is nobody's guess.
    func finished(_ name: String, _ address: String, isRight: Bool?, now: Timestamp) {
        state.withLock { state in
            state.underWay -= 1
            guard let isRight else { return }
            let keys = keys(name, address)
            if isRight {
                state.failures[keys[0].0] = nil
            } else {
                for (key, _) in keys { state.failures[key, default: []].append(now) }
            }
        }
    }

    private func keys(_ name: String, _ address: String) -> [(String, Int)] {
        [("\(name)|\(address)", failuresOfAccount), ("|\(address)", failuresOfAddress)]
    }
}

extension ServiceBackend {
    /// Asked with every request: looked up once a second, and never forgotten once it was so. While the database
    /// cannot be reached what was known holds: an outage must not blind whoever watches the service, and no act is stored then.
    func hasAccounts() throws -> Bool {
        let now = SystemClock.monotonicNanoseconds
        let known = accountsKnown.withLock { $0 }
        if let areThere = known.areThere, areThere || now < known.until { return areThere }
        do {
            let areThere = try sessions.useAccounts { accounts throws(StoreError) in try accounts.areConfigured() }
            accountsKnown.withLock { $0 = (areThere, now + 1_000_000_000) }
            return areThere
        } catch {
            guard let areThere = known.areThere else { throw error }
            // Not asked with every request: a server that stands still would hold each of them up.
            accountsKnown.withLock { $0 = (areThere, SystemClock.monotonicNanoseconds + 15_000_000_000) }
            return areThere
        }
    }

    /// Seconds that a token which was good is still taken for good while the database cannot be reached; no act is stored then.
    private static let rememberedSeconds = 600.0

    func identity(of credential: Credential) throws -> Identity? {
        let digest: String
        switch credential {
        case .token(let secret), .session(let secret): digest = Digest.sha256(secret)
        }
        let now = Timestamp(microseconds: SystemClock.nowMicroseconds)
        do {
            let found = try sessions.useAccounts { accounts throws(StoreError) in
                switch credential {
                case .token:
                    try accounts.account(ofToken: digest).map {
                        Identity(name: $0.name, role: $0.role, desks: $0.desks, isSession: false, digest: digest)
                    }
                case .session:
                    try accounts.account(ofSession: digest).map {
                        Identity(name: $0.name, role: $0.role, desks: $0.desks, isSession: true, digest: digest)
                    }
                }
            }
            remembered.withLock { remembered in
                if remembered.count > 1000 { remembered = [:] }
                remembered[digest] = found.map { ($0, now) }
            }
            return found
        } catch {
            guard let (identity, at) = remembered.withLock({ $0[digest] }), now - at < Self.rememberedSeconds else {
                throw error
            }
            return identity
        }
    }

    func logIn(_ name: String, password: String, from address: String, replacing old: String?) throws -> String {
        let now = { Timestamp(microseconds: SystemClock.nowMicroseconds) }
        if let wait = logins.begin(name, address, now: now()) {
            throw APIError(429, "Too many requests", "too many attempts: try again in \(Int(wait.rounded(.up))) s")
        }
        var isRight: Bool?
        defer { logins.finished(name, address, isRight: isRight, now: now()) }
        var accounts = Accounts(conninfo: sessions.conninfo, limits: settings.accountLimits)
        let known = Identifier.isValid(name) ? try accounts.login(name) : nil
        guard Password.matches(password, known?.password) else {
            isRight = false
            try accounts.recordRefusal(name, "wrong name or password", from: address)
            throw APIError(401, "Unauthorized", "wrong name or password")
        }
        isRight = true
        let secret = Secret.make(prefix: "")
        try accounts.open(Digest.sha256(secret), for: name, replaced: old.map(Digest.sha256), from: address)
        log.info("logged in", ["user": name])
        return secret
    }

    func logOut(_ session: String) throws {
        var accounts = Accounts(conninfo: sessions.conninfo)
        try accounts.close(Digest.sha256(session))
    }
}
