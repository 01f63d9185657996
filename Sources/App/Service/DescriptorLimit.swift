import Foundation
import Glibc
import HTTPServer
package import Logging

/// The limit of open files, and how many connections fit under it.
struct DescriptorLimit: Sendable, Equatable {
    /// Descriptors that the process may have open.
    let descriptors: Int
    /// Those that are open already, inherited ones included.
    let open: Int

    /// Connections that fit: those that are served, and those beyond them that are being answered 503.
    struct Share: Sendable, Equatable {
        let connections: Int
        let refusals: Int
    }

    /// Refusals at once where the limit has room for them.
    private static let mostRefusals = 256
    /// Below this a service is of no use to anybody.
    private static let fewestConnections = 16
    /// More than this helps nobody, and makes those slow who try to close every descriptor there may be.
    private static let mostRaised: rlim_t = 1 << 20

    /// Raises the soft limit of the process to the hard one; the limit that holds afterwards.
    static func raised() -> DescriptorLimit {
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return DescriptorLimit(descriptors: 1024, open: 0) }
        let wanted = min(limit.rlim_max, mostRaised)
        if wanted > limit.rlim_cur {
            var raised = limit
            raised.rlim_cur = wanted
            if setrlimit(resource, &raised) == 0 { limit = raised }
        }
        let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
        return DescriptorLimit(descriptors: Int(clamping: limit.rlim_cur), open: open)
    }

    private static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)

    /// What must stay free of connections, beside what is open at the start.
    ///
    /// Each loop holds three descriptors of its selector, two files of its store reader and a connection to Redis, which is there twice
    /// while it is renewed. The rest, some thirty at work and as many that the server leaves free: listening socket, signals, the store's
    /// writer, the connections of its read lanes and a backup, the pipes to a redis-server that is being started, connections to the data platform.
    static func reserve(loops: Int) -> Int { 64 + 8 * loops }

    /// Connections that may be open under the limit, as many as wanted where they fit.
    ///
    /// - Throws: where the limit leaves too few to serve.
    func share(wanted: Int, loops: Int) throws(CommandError) -> Share {
        let needed = open + Self.reserve(loops: loops) + Self.fewestConnections
        guard descriptors >= needed else {
            throw CommandError(
                "the limit of open files (ulimit -n) is \(descriptors), and a service with --loops \(loops) needs \(needed) or more")
        }
        let free = descriptors - open - Self.reserve(loops: loops)
        let refusals = min(Self.mostRefusals, max(free - wanted, free / 8))
        return Share(connections: min(wanted, free - refusals), refusals: refusals)
    }
}

extension RunConfiguration {
    /// Raises the limit of open files as far as it may be raised, and lowers the number of connections to what then fits.
    ///
    /// - Throws: where the limit leaves too few to serve.
    package mutating func fitConnections(logger: Logger) throws(CommandError) {
        let (limit, wanted) = (DescriptorLimit.raised(), http.maximumConnections)
        let share = try limit.share(wanted: wanted, loops: loops)
        if share.connections < wanted {
            logger.warning(
                "--max-connections is lowered to what the limit of open files (ulimit -n) has room for",
                metadata: ["asked": "\(wanted)", "lowered": "\(share.connections)", "limit": "\(limit.descriptors)"])
        }
        (http.maximumConnections, http.maximumRefusals) = (share.connections, share.refusals)
    }
}
