import TestSupport

/// Claims that are refused and claims that win, compared with the same script without the service in front of it.
struct ClaimRows: BenchPart {
    let title = "claims"
    let rows: [Row] =
        Row.allCases.filter { row in
            !(PostgresRows.all + ServicesRows.all).contains(row) && ["claim", "sold out", "win"].contains { row.rawValue.contains($0) }
        } + [.bareChannel]

    /// Users with a coupon of the campaign that is sold out, and as many without.
    static let crowd = 1_000

    func run(_ settings: BenchSettings, _ progress: Progress) async throws -> Findings {
        try await withCleanupStack { cleanup in
            let users = max(settings.wins, settings.newcomers + Self.crowd)
            progress.tell("claims: making \(users) users")
            let shop = try await Shop.open(cleanup)
            let tokens = try await shop.makeUsers(users)
            let stage = try await ClaimStage(shop, tokens, cleanup, settings)
            var findings = Findings()
            findings.memory.append(try await shop.memory(.start, count: 0))
            findings.rows += try await stage.refusals(settings).keeping(settings.only).run(rounds: settings.rounds, progress: progress)
            findings.add(try await stage.memoryOfRefusals(settings, progress))
            let wins = try await stage.wins(settings).keeping(settings.only).run(rounds: settings.rounds, progress: progress)
            findings.rows += wins
            findings.rows += try await stage.winsAlone(settings).keeping(settings.only).run(rounds: settings.rounds, progress: progress)
            if let won = wins.first(where: { $0.row == .claimWins })?.samples.map(\.requests).reduce(0, +), won > 0 {
                findings.memory.append(try await shop.memory(.afterWins, count: won))
            }
            progress.tell("claims: firstcome audit")
            try await shop.audit()
            return findings
        }
    }
}

/// What the rows of claims need: a campaign that is sold out, one that is not, and webdis on the same Redis.
struct ClaimStage: Sendable {
    let shop: Shop
    let tokens: Tokens
    private let webdis: Webdis
    private let nginx: PeerServer
    private let bareChannel: PeerServer
    private let twoLoops: TwoLoops
    private let wins: Wins
    /// The same on the earlier build of `--before`; nil without one.
    private let winsBefore: Wins?
    private let soldOut: Int64
    private let script: String
    /// The store of the service, as its gates name it.
    private let store: String

    init(_ shop: Shop, _ tokens: Tokens, _ cleanup: CleanupStack, _ settings: BenchSettings) async throws {
        (self.shop, self.tokens) = (shop, tokens)
        script = try shop.redis.loadClaimScript()
        store = try shop.redis.cli("GET", "ranking:{sales}:store")
        webdis = Webdis(shop: shop)
        nginx = try await PeerServer.nginx(cleanup)
        bareChannel = try await PeerServer.bareChannel(cleanup, executable: settings.executable)
        twoLoops = try await TwoLoops(cleanup)
        soldOut = try await shop.makeSoldOutCoupon(tokens)
        wins = try await Wins(shop, tokens)
        if let build = settings.before {
            let earlier = try await Shop.open(cleanup, build: build)
            winsBefore = try await Wins(earlier, try await earlier.makeUsers(tokens.count))
        } else {
            winsBefore = nil
        }
    }
}

// MARK: - Refused claims

extension ClaimStage {
    func refusals(_ settings: BenchSettings) throws -> Comparison {
        let (losers, winners) = (ClaimRows.crowd + 1...2 * ClaimRows.crowd, 1...ClaimRows.crowd)
        let (lost, again) = (try shop.claims(of: soldOut, by: losers, tokens), try shop.claims(of: soldOut, by: winners, tokens))
        let (webdisLost, webdisAgain) = (try evaluations(losers), try evaluations(winners))
        // Each of these claims brings a token that has to be verified.
        let once = try shop.claims(of: soldOut, by: ClaimRows.crowd + 1...ClaimRows.crowd + settings.newcomers, tokens)
        let time = Wrk.Amount.seconds(settings.seconds)
        let loser = losers.lowerBound
        let soldOutLoad = shop.claimLoad(expected: "4xx") { try await claim(by: loser, isRefusedWith: "COUPON_SOLD_OUT") }
        let againLoad = shop.claimLoad(expected: "4xx") { try await claim(by: 1, isRefusedWith: "COUPON_ALREADY_CLAIMED") }
        return Comparison(
            title: "claims that are refused",
            cases: [
                BenchmarkCase(row: .claimSoldOut, peers: [.webdisSoldOut, .redisSoldOut, .nginxClaim, .bareChannel]) { _ in
                    try await soldOutLoad.run(lost, time)
                },
                BenchmarkCase(row: .claimSoldOutTwoLoops, peers: [.claimSoldOut]) { [twoLoops] _ in try await twoLoops.run(time) },
                BenchmarkCase(row: .claimSoldOutOnce, peers: [.webdisSoldOut]) { _ in try await soldOutLoad.run(once, .requests(once.count))
                },
                BenchmarkCase(row: .webdisSoldOut) { _ in try await evaluate(webdisLost, time, user: loser, code: 3) },
                redis(.redisSoldOut, "__rand_int__", settings, pipeline: 1),
                redis(.redisSoldOutPipelined, "__rand_int__", settings, pipeline: 16),
                BenchmarkCase(row: .claimAlready, peers: [.webdisAlready, .redisAlready, .nginxClaim, .bareChannel]) { _ in
                    try await againLoad.run(again, time)
                },
                BenchmarkCase(row: .webdisAlready) { _ in try await evaluate(webdisAgain, time, user: 1, code: 2) },
                redis(.redisAlready, "1", settings, pipeline: 1),
                redis(.redisAlreadyPipelined, "1", settings, pipeline: 16),
                BenchmarkCase(row: .nginxClaim) { [nginx, shop] _ in try await nginx.run(shop.wrk, time, sending: lost) },
                BenchmarkCase(row: .bareChannel) { [bareChannel, shop] _ in try await bareChannel.run(shop.wrk, time, sending: lost) },
            ])
    }

    /// Has many claims refused, and measures how much memory of Redis that takes.
    func memoryOfRefusals(_ settings: BenchSettings, _ progress: Progress) async throws -> Findings {
        var findings = Findings()
        let file = try shop.claims(of: soldOut, by: ClaimRows.crowd + 1...2 * ClaimRows.crowd, tokens)
        let load = shop.claimLoad(expected: "4xx")
        // Warms up, so that buffers that grow with connections and first requests do not count.
        _ = try await load.run(file, .requests(10_000))
        let before = try await shop.memory(.beforeRefusals, count: 0)
        let sample = try await load.run(file, .requests(settings.refusedClaims))
        findings.problems += sample.problems
        let after = try await shop.memory(.afterRefusals, count: sample.requests)
        findings.memory = [before, after]
        progress.tell("\(sample.requests) refused claims: Redis uses \(after.redis - before.redis) bytes more")
        return findings
    }

    private func claim(by user: Int, isRefusedWith code: String) async throws {
        let answer = try await shop.user(user, token: tokens[user]).claim(soldOut).expect(409)
        guard answer.code == code else { throw HTTPAnswer.NotAsExpected(description: "expected \(code): \(answer.text)") }
    }
}

extension Shop {
    func claimLoad(expected: String, probe: @escaping @Sendable () async throws -> Void = {}) -> ServiceLoad {
        ServiceLoad(shop: self, method: "POST", route: "/api/v1/coupons/{couponId}/claims", expected: expected, probe: probe)
    }

    fileprivate func claims(of coupon: Int64, by users: ClosedRange<Int>, _ tokens: Tokens) throws -> RequestFile {
        let path = "/api/v1/coupons/\(coupon)/claims"
        return try RequestFile(users.lazy.map { RequestText(method: "POST", path: path, token: tokens[$0]) }, in: folder.path)
    }

    /// Makes a campaign and has the first users claim all its coupons.
    fileprivate func makeSoldOutCoupon(_ tokens: Tokens) async throws -> Int64 {
        let coupon = try await admin.makeCoupon(quantity: Int64(ClaimRows.crowd))
        for number in 1...ClaimRows.crowd { _ = try await user(number, token: tokens[number]).claim(coupon).expect(201) }
        return coupon
    }
}

/// A service and two campaigns whose coupons do not run out: for many clients at once, and for one alone.
struct Wins: Sendable {
    private let shop: Shop
    private let tokens: Tokens
    private let forCrowd: Int64
    private let forOne: Int64

    init(_ shop: Shop, _ tokens: Tokens) async throws {
        (self.shop, self.tokens) = (shop, tokens)
        forCrowd = try await shop.admin.makeCoupon(quantity: 100_000_000)
        forOne = try await shop.admin.makeCoupon(quantity: 100_000_000)
    }

    /// Many clients at once, with other users in each round.
    func crowd(_ count: Int, _ round: Int) async throws -> Sample { try await run(forCrowd, count, round, connections: Wrk.connections) }

    func oneClient(_ count: Int, _ round: Int) async throws -> Sample { try await run(forOne, count, round, connections: 1) }

    /// Many clients at once on a new campaign, each user once.
    func newCampaign(_ users: Int) async throws -> Sample {
        let coupon = try await shop.admin.makeCoupon(quantity: 100_000_000)
        try await shop.database?.prepareForLoad()
        return try await run(coupon, users, 1, connections: Wrk.connections)
    }

    private func run(_ coupon: Int64, _ count: Int, _ round: Int, connections: Int) async throws -> Sample {
        let file = try shop.claims(of: coupon, by: (round - 1) * count + 1...round * count, tokens)
        defer { file.remove() }
        return try await shop.claimLoad(expected: "2xx").run(file, .requests(count), connections: connections)
    }
}

/// A service with two event loops, and the same sold-out claims: measures the cost of cache lines that both loops write.
private struct TwoLoops: Sendable {
    private let load: ServiceLoad
    private let requests: RequestFile

    init(_ cleanup: CleanupStack) async throws {
        let shop = try await Shop.open(cleanup, loops: 2)
        let tokens = try await shop.makeUsers(2 * ClaimRows.crowd)
        let coupon = try await shop.makeSoldOutCoupon(tokens)
        requests = try shop.claims(of: coupon, by: ClaimRows.crowd + 1...2 * ClaimRows.crowd, tokens)
        load = shop.claimLoad(expected: "4xx")
    }

    func run(_ time: Wrk.Amount) async throws -> Sample { try await load.run(requests, time) }
}

// MARK: - The same by webdis and redis-benchmark

extension ClaimStage {
    private var soldOutKeys: (String, String) { ("coupon:{\(soldOut)}", "coupon:{\(soldOut)}:claims") }

    private func evaluations(_ users: ClosedRange<Int>, keys: (String, String)? = nil) throws -> RequestFile {
        try RequestFile(
            users.lazy.map { Webdis.evaluation(script, keys ?? soldOutKeys, keys == nil ? store : PeerGate.store, String($0)) },
            in: shop.folder.path)
    }

    /// - Parameter code: what the script answers first for that user.
    private func evaluate(_ file: RequestFile, _ amount: Wrk.Amount, user: Int, code: Int64) async throws -> Sample {
        try await webdis.run(file, amount, probe: Webdis.evaluation(script, soldOutKeys, store, String(user)), code: code)
    }

    private func redis(_ row: Row, _ user: String, _ settings: BenchSettings, pipeline: Int) -> BenchmarkCase {
        let words = ["EVALSHA", script, "2", soldOutKeys.0, soldOutKeys.1, store, user]
        let benchmark = RedisBenchmark(redis: shop.redis, folder: shop.folder)
        return BenchmarkCase(row: row) { _ in
            try await benchmark.run(words, requests: settings.redisRequests(pipeline: pipeline), pipeline: pipeline)
        }
    }
}

// MARK: - Claims that win

extension ClaimStage {
    func wins(_ settings: BenchSettings) -> Comparison {
        let each = settings.winsEachRound
        var comparison = Comparison(
            title: "claims that win",
            cases: [
                BenchmarkCase(row: .claimWins, peers: [.claimWinsBefore, .webdisWins, .redisWins]) { [wins] in
                    try await wins.crowd(each, $0)
                },
                BenchmarkCase(row: .webdisWins) { _ in try await webdisWins(each) },
                redisWins(.redisWins, settings, pipeline: 1),
                redisWins(.redisWinsPipelined, settings, pipeline: 16),
            ])
        if let winsBefore { comparison.cases.append(BenchmarkCase(row: .claimWinsBefore) { try await winsBefore.crowd(each, $0) }) }
        return comparison
    }

    /// A comparison of its own, because right after a larger load a commit waits for the file system to write that.
    func winsAlone(_ settings: BenchSettings) -> Comparison {
        let count = settings.winsAlone
        var comparison = Comparison(
            title: "claims that win, one client",
            cases: [
                BenchmarkCase(row: .claimWinsAlone, peers: [.claimWinsAloneBefore]) { [wins] in try await wins.oneClient(count, $0) }
            ])
        if let winsBefore {
            comparison.cases.append(BenchmarkCase(row: .claimWinsAloneBefore) { try await winsBefore.oneClient(count, $0) })
        }
        return comparison
    }

    private func webdisWins(_ count: Int) async throws -> Sample {
        let gate = PeerGate(redis: shop.redis)
        try gate.open()
        let file = try evaluations(1...count, keys: gate.keys)
        defer { file.remove() }
        // The first user asks again at the end, and has won already.
        var sample = try await webdis.run(file, .requests(count), probe: Webdis.evaluation(script, gate.keys, PeerGate.store, "1"), code: 2)
        let lost = sample.requests - (try gate.claimed())
        if lost != 0 { sample.problems.append("\(lost) of \(sample.requests) claims did not win") }
        sample.unexpected += abs(lost)
        try gate.remove()
        return sample
    }

    private func redisWins(_ row: Row, _ settings: BenchSettings, pipeline: Int) -> BenchmarkCase {
        let benchmark = RedisBenchmark(redis: shop.redis, folder: shop.folder)
        let count = settings.redisRequests(pipeline: 1)
        return BenchmarkCase(row: row) { [script] _ in
            let gate = PeerGate(redis: benchmark.redis)
            try gate.open()
            let words = ["EVALSHA", script, "2", gate.keys.0, gate.keys.1, PeerGate.store, "__rand_int__"]
            var sample = try await benchmark.run(words, requests: count, pipeline: pipeline)
            // A random user occasionally comes twice, and wins once.
            sample.unexpected = count - (try gate.claimed())
            if sample.unexpected > count / 1000 { sample.problems.append("\(sample.unexpected) claims did not win") }
            try gate.remove()
            return sample
        }
    }
}
