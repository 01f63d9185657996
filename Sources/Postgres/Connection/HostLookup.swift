import Dispatch
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Finds the addresses of a host. getaddrinfo(3) takes no deadline and a silent name server may hold it for many seconds, so it runs on a
/// thread of its own, which is left behind when it takes too long and ends by itself.
enum HostLookup {
    /// - Returns: addresses as text, in the system's order; empty where the name has none.
    /// - Throws: `.timedOut`.
    static func addresses(of name: String, before deadline: Deadline) throws(PostgresError) -> [String] {
        if isAddress(name) { return [name] }
        let lookup = Lookup(name: name)
        guard lookup.start() else { throw PostgresError(.unreachable, .notSent, "no thread to look up a host") }
        guard lookup.ended.wait(timeout: .now() + .milliseconds(Int(deadline.milliseconds))) == .success else {
            throw PostgresError(.timedOut, .notSent, "looking up the host took too long")
        }
        return lookup.addresses.withLock { $0 }
    }

    private static func isAddress(_ name: String) -> Bool {
        var address = in6_addr()
        return inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1
    }

    private final class Lookup: Sendable {
        let name: String
        let addresses = Mutex<[String]>([])
        let ended = DispatchSemaphore(value: 0)

        init(name: String) { self.name = name }

        /// Whether a thread was started.
        func start() -> Bool {
            let box = Unmanaged.passRetained(self)
            var thread = pthread_t()
            let failed = pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    Unmanaged<Lookup>.fromOpaque(argument).takeRetainedValue().run()
                    return nil
                }, box.toOpaque())
            guard failed == 0 else {
                box.release()
                return false
            }
            pthread_detach(thread)
            return true
        }

        private func run() {
            var hints = addrinfo()
            hints.ai_family = AF_UNSPEC
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            var list: UnsafeMutablePointer<addrinfo>?
            if getaddrinfo(name, nil, &hints, &list) == 0 {
                var found: [String] = []
                var next = list
                while let info = next {
                    // An address with its zone is shorter (RFC 4007, section 11).
                    var text = [CChar](repeating: 0, count: 128)
                    if getnameinfo(info.pointee.ai_addr, info.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
                    {
                        found.append(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
                    }
                    next = info.pointee.ai_next
                }
                freeaddrinfo(list)
                addresses.withLock { $0 = found }
            }
            ended.signal()
        }
    }
}
