import API
import App
import ArgumentParser
import Services

/// The options of `serve` that limit clients and queues.
struct LimitOptions: ParsableArguments {
    private static let standard = RequestLimits()

    @Option(
        help: ArgumentHelp(
            """
            How many requests each user may make: 20/s, 600/m or 5000/h, and with 20/s:50 up to 50 at once (by default as many as the \
            number before the slash). Further ones are answered 429. Without it, users are not limited.
            """, valueName: "rate"))
    var userRate: RateLimitArgument?

    @Option(
        help: ArgumentHelp(
            """
            How many requests each client address may make, as for --user-rate; the addresses of an IPv6 /64 count as one. Without it, \
            addresses are not limited.
            """, valueName: "rate"))
    var addressRate: RateLimitArgument?

    @Option(
        help: ArgumentHelp(
            """
            The proxies whose Forwarded or X-Forwarded-For names the client's address, for --address-rate, the access log and the order \
            in which unknown tokens are checked: addresses and networks such as 10.0.0.0/8,2001:db8::/32, and unix for a proxy on a unix \
            socket.
            """, valueName: "list"))
    var trustedProxies: TrustedProxiesArgument?

    @Option(help: "Where requests are counted: memory, or redis for services that share a Redis and count together.")
    var limitsIn = LimitPlace.memory

    @Option(
        help: ArgumentHelp(
            """
            How long a queue of the service may be too long before new work is answered 503, so that accepted work keeps its latency; 0 \
            never refuses any.
            """))
    var shedAfter = standard.shedAfter.map { DelayArgument($0) } ?? .none

    /// Called by the command, which knows where the service listens.
    func validate(host: String) throws {
        if addressRate != nil, host.hasPrefix("unix:"), trustedProxies?.proxies.includesUnixSocket != true {
            throw ValidationError(
                "--address-rate with --host unix:... needs --trusted-proxies unix: the peers of a unix socket have no address")
        }
        if limitsIn == .redis, userRate == nil, addressRate == nil {
            throw ValidationError("--limits-in redis needs --user-rate or --address-rate")
        }
    }

    func apply(to configuration: inout RunConfiguration) {
        configuration.limits.user = userRate?.limit
        configuration.limits.address = addressRate?.limit
        configuration.limits.trustedProxies = trustedProxies?.proxies ?? TrustedProxies()
        configuration.limits.areShared = limitsIn == .redis
        configuration.limits.shedAfter = shedAfter == .none ? nil : shedAfter.duration
    }
}

/// Where requests are counted.
enum LimitPlace: String, ExpressibleByArgument, CaseIterable {
    case memory
    case redis
}

/// A rate on the command line, see `RateLimit`.
struct RateLimitArgument: ExpressibleByArgument {
    let limit: RateLimit

    init?(argument: String) {
        guard let limit = RateLimit(argument) else { return nil }
        self.limit = limit
    }
}

/// A list of proxies on the command line, see `TrustedProxies`.
struct TrustedProxiesArgument: ExpressibleByArgument {
    let proxies: TrustedProxies

    init?(argument: String) {
        guard let proxies = TrustedProxies(argument) else { return nil }
        self.proxies = proxies
    }
}
