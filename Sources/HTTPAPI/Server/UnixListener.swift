internal import Glibc

/// A listening Unix socket: nobody reaches it but programs of this machine that its directory lets in.
///
/// Owned by the server; ``remove()`` takes the file away. Its descriptor belongs to libmicrohttpd once that has taken it.
struct UnixListener {
    let path: String
    let descriptor: CInt

    /// - Throws: `HTTPServer.StartFailure` when the path is too long, in use, or cannot be made.
    init(path: String) throws {
        self.path = path
        func failure(_ what: String) -> HTTPServer.StartFailure {
            HTTPServer.StartFailure(description: "http.listen: unix:\(path): \(what)")
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard path.utf8.count < room else { throw failure("at most \(room - 1) bytes") }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        func call(_ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt) -> CInt {
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
        }
        let made = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard made >= 0 else { throw failure(String(cString: strerror(errno))) }
        // What a killed service left; that of a running one takes connections.
        var found = stat()
        if lstat(path, &found) == 0, found.st_mode & S_IFMT == S_IFSOCK {
            let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            let isTaken = call { connect(probe, $0, $1) } == 0
            Glibc.close(probe)
            guard !isTaken else {
                Glibc.close(made)
                throw failure("another service listens there")
            }
            unlink(path)
        }
        // The group may connect: that of the proxy.
        guard call({ bind(made, $0, $1) }) == 0, chmod(path, 0o660) == 0, listen(made, SOMAXCONN) == 0 else {
            let reason = String(cString: strerror(errno))
            Glibc.close(made)
            throw failure(reason)
        }
        descriptor = made
    }

    func remove() { unlink(path) }
}
