/// How much is measured.
package struct BenchSettings: Sendable {
    package let isQuick: Bool
    /// How often each row is measured.
    package let rounds: Int
    /// Selects parts and rows whose name contains this, and the peers they are compared with; nil for all.
    package private(set) var only: String?
    /// The program's own path, to start the bare server as a process of its own.
    package let executable: String
    /// An earlier build of the service, to compare with this one; nil without one.
    package let before: String?

    package init(isQuick: Bool, rounds: Int?, only: String?, executable: String, before: String? = nil) {
        (self.isQuick, self.only, self.executable, self.before) = (isQuick, only, executable, before)
        self.rounds = max(1, rounds ?? (isQuick ? 2 : 5))
    }

    /// How long a row runs, in seconds, unless it has a fixed number of requests.
    var seconds: Int { isQuick ? 2 : 6 }

    /// Claims that win, over all rounds: the target for memory is one after a million.
    var wins: Int { isQuick ? 30_000 * rounds : 1_000_000 }
    var winsEachRound: Int { wins / rounds }

    /// Claims that win of one client, in one round: each waits for a commit of its own.
    var winsAlone: Int { isQuick ? 500 : 2_000 }

    /// Orders, payments, checkouts or charges of one round.
    var writes: Int { isQuick ? 25_000 : 80_000 }

    /// Claims on one campaign of a store on PostgreSQL, in one round: each user's first.
    var storeWins: Int { isQuick ? 15_000 : 50_000 }

    /// Payments of a store on PostgreSQL in one round.
    var storePayments: Int { isQuick ? 10_000 : 40_000 }

    /// Each user's claims on each of several campaigns of a store on PostgreSQL win, in one round.
    var storeClaimants: Int { isQuick ? 1_500 : 5_000 }

    /// How long services that nobody asks anything are watched, in seconds.
    var idleSeconds: Int { isQuick ? 20 : 60 }

    /// Users who claim once and are too late: more than the service's token cache holds.
    var newcomers: Int { isQuick ? 55_000 : 200_000 }

    /// Refused claims for the measurement of Redis' memory.
    var refusedClaims: Int { isQuick ? 200_000 : 1_000_000 }

    /// The flash sale's users, its coupons, and how long it lasts: they run out after about half of it.
    var flashSale: (users: Int, coupons: Int, seconds: Int) { isQuick ? (60_000, 50_000, 6) : (200_000, 150_000, 20) }

    /// Rounds of growth curves: more and shorter ones, because small differences between the points count.
    var growthRounds: Int { isQuick ? 2 : 5 }
    var growthSeconds: Int { isQuick ? 1 : 3 }
    var growthPayments: Int { isQuick ? 5_000 : 20_000 }

    /// How long requests are sent at each rate, in seconds, and how many requests measure the maximum rate.
    var openLoopSeconds: Double { isQuick ? 2 : 8 }
    var openLoopProbe: Int { isQuick ? 40_000 : 100_000 }

    /// How long the mix of the overload is sent at each rate, and how much of that is the beginning, in seconds.
    var overloadSeconds: Double { isQuick ? 6 : 20 }
    var overloadWarmUpSeconds: Double { isQuick ? 2 : 4 }

    /// Requests of one redis-benchmark run: about as long as the other rows.
    func redisRequests(pipeline: Int) -> Int { seconds * (pipeline > 1 ? 150_000 : 80_000) }

    /// The same settings for all rows of a part, for a part that was selected by its title.
    func withAllRows() -> BenchSettings {
        var settings = self
        settings.only = nil
        return settings
    }

    func wants(_ title: String) -> Bool { only.map { title.contains($0) } ?? true }
}
