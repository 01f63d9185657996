import Foundation
import Glibc
import HTTPServer
package import Logging

/// The limit of open files (`RLIMIT_NOFILE`), and how many connections fit under it.
struct DescriptorLimit: Sendable, Equatable {
    /// How many descriptors the process may have open.
    let descriptors: Int
    /// How many are open at the start, including inherited ones.
    let open: Int

    /// The connections that fit under the limit: those that are served, and further ones that are answered 503.
    struct Share: Sendable, Equatable {
        let connections: Int
        let refusals: Int
    }

    /// The greatest number of connections that are being answered 503 at once.
    private static let maximumRefusals = 256
    /// With fewer connections than this, the service does not start.
    private static let minimumConnections = 16
    /// The soft limit is not raised further: programs that close every possible descriptor would take long.
    private static let greatestSoftLimit: rlim_t = 1 << 20

    /// Raises the soft limit of the process up to the hard one.
    ///
    /// - Returns: the limit that holds afterwards.
    static func raised() -> DescriptorLimit {
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return DescriptorLimit(descriptors: 1024, open: 0) }
        let wanted = min(limit.rlim_max, greatestSoftLimit)
        if wanted > limit.rlim_cur {
            var raised = limit
            raised.rlim_cur = wanted
            if setrlimit(resource, &raised) == 0 { limit = raised }
        }
        let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
        return DescriptorLimit(descriptors: Int(clamping: limit.rlim_cur), open: open)
    }

    private static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)

    /// How many descriptors are needed for other things than clients' connections, beside those that are open at the start.
    ///
    /// Each loop needs up to seven, and has eight: three of its selector, two files of its store reader, and two connections to Redis while
    /// one replaces the other. The other 64 are about thirty in use and as many spare ones: the listening socket, signals, the store's
    /// writer, its read lanes and a backup, the pipes to a redis-server that is being started, and connections to the data platform.
    static func reserve(loops: Int) -> Int { 64 + 8 * loops }

    /// How many descriptors a listener for operators needs: its connections, its socket, and the file by which it watches the limit.
    static func reserve(operators: HTTPServerConfiguration?) -> Int {
        operators.map { $0.maximumConnections + $0.maximumRefusals + 2 } ?? 0
    }

    /// Divides the limit: as many connections as wanted, or as many as fit.
    ///
    /// - Parameter others: descriptors that are needed besides, such as those of operators' connections.
    /// - Throws: where fewer than 16 fit.
    func share(wanted: Int, loops: Int, others: Int = 0) throws(CommandError) -> Share {
        let reserve = Self.reserve(loops: loops) + others
        let needed = open + reserve + Self.minimumConnections
        guard descriptors >= needed else {
            throw CommandError(
                "the limit of open files (ulimit -n) is \(descriptors), and a service with --loops \(loops) needs \(needed) or more")
        }
        let free = descriptors - open - reserve
        let refusals = min(Self.maximumRefusals, max(free - wanted, free / 8))
        return Share(connections: min(wanted, free - refusals), refusals: refusals)
    }
}

extension RunConfiguration {
    /// Raises the limit of open files as far as possible, and lowers the number of connections to what fits under it.
    ///
    /// - Throws: where fewer than 16 fit.
    package mutating func fitConnections(logger: Logger) throws(CommandError) {
        let (limit, wanted) = (DescriptorLimit.raised(), http.maximumConnections)
        let share = try limit.share(wanted: wanted, loops: loops, others: DescriptorLimit.reserve(operators: operators))
        if share.connections < wanted {
            logger.warning(
                "--max-connections is lowered to what the limit of open files (ulimit -n) has room for",
                metadata: ["asked": "\(wanted)", "lowered": "\(share.connections)", "limit": "\(limit.descriptors)"])
        }
        (http.maximumConnections, http.maximumRefusals) = (share.connections, share.refusals)
    }
}
