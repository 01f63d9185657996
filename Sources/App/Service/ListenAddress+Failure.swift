import Glibc

extension ListenAddress {
    /// Throws where the host is unknown, or where a port cannot be listened on. The port is not taken by this.
    func checkPort() throws(CommandError) {
        guard case .tcp(let host, let port) = self else { return }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(host, String(port), &hints, &found)
        defer { if let found { freeaddrinfo(found) } }
        guard result == 0, let address = found?.pointee else {
            throw CommandError(
                "cannot listen on \(description(port: nil)): the host \(host) is not known (\(String(cString: gai_strerror(result)))); "
                    + "give an address of this machine by --host")
        }
        let descriptor = socket(address.ai_family, address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), address.ai_protocol)
        guard descriptor >= 0 else { throw failure(errno) }
        defer { close(descriptor) }
        // As the server does: connections of a former service that are still closing are no obstacle.
        var yes: CInt = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<CInt>.size))
        guard bind(descriptor, address.ai_addr, address.ai_addrlen) == 0 else { throw failure(errno) }
    }

    /// Why listening failed with this `errno`, and what to do.
    func failure(_ code: CInt) -> CommandError {
        let place = description(port: nil)
        switch (code, self) {
        case (EADDRINUSE, .tcp): return CommandError("\(place) is in use by another program; stop it, or choose another --port")
        case (EADDRINUSE, .unixSocket): return CommandError("\(place) is in use by another program; stop it, or choose another --host")
        case (EACCES, .tcp(_, let port)):
            return CommandError(
                """
                cannot listen on \(place): the account \(Account.current) may not use port \(port); choose a --port from 1024 on, or allow \
                it (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)
                """)
        case (EADDRNOTAVAIL, _):
            return CommandError("cannot listen on \(place): this machine does not have that address; give one of its own by --host")
        default: return CommandError("cannot listen on \(place): \(systemReason(code))")
        }
    }
}
