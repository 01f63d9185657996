import Foundation
import TestSupport
import Testing

@testable import App

extension EndToEnd {
    @Suite("serve under a limit of open files")
    struct DescriptorTests {}
}

/// What became of one client of many.
private enum Outcome: Hashable {
    case answered(Int)
    /// Closed or still waiting when its patience ended.
    case unanswered
}

extension EndToEnd.DescriptorTests {
    private static let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

    /// Has the command run with a soft and a hard limit of open files.
    private static func limited(_ soft: Int, _ hard: Int) -> ([String]) -> [String] {
        { ["prlimit", "--nofile=\(soft):\(hard)", "--"] + $0 }
    }

    private static func started(
        _ folder: String, soft: Int, hard: Int, _ arguments: [String] = [], _ body: (ServeProcess) async throws -> Void
    ) async throws {
        let serve = try await ServeProcess.start(
            folder, ["--port", "0", "--loops", "1"] + arguments, wrapping: limited(soft, hard))
        do {
            try await body(serve)
            #expect(try await serve.end() == 0)
        } catch {
            _ = try? await serve.end(SIGKILL)
            throw error
        }
    }

    /// Opens clients one after the other, keeps all of them, and asks each for an answer.
    ///
    /// - Parameter sure: how many are sure to be answered, and are waited for; the others may have to wait for ever.
    private static func open(_ count: Int, sure: Int, _ port: Int) async throws -> (clients: Clients, outcomes: [Outcome: Int]) {
        try await offPool {
            let clients = Clients()
            var outcomes: [Outcome: Int] = [:]
            for index in 0..<count {
                let client = try RawHTTPClient(port: port, timeoutMilliseconds: index < sure ? 60_000 : 300)
                clients.append(client)
                let outcome = (try? client.exchange(request)).map { Outcome.answered($0.status) } ?? .unanswered
                outcomes[outcome, default: 0] += 1
            }
            return (clients, outcomes)
        }
    }

    /// Safety of `@unchecked Sendable`: filled on one thread, and from then on only closed, by one caller.
    private final class Clients: @unchecked Sendable {
        private var all: [RawHTTPClient] = []
        func append(_ client: RawHTTPClient) { all.append(client) }
        func close() { for client in all { client.close() } }
    }

    /// The processor time of a process as a share of the time that passes meanwhile.
    private static func load(of pid: Int32) async throws -> Double {
        func ticks() throws -> Double {
            let status = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
            // "pid (name) state ...": utime and stime are the 14th and 15th field (proc_pid_stat(5)).
            let fields = try #require(status.split(separator: ")").last).split(separator: " ")
            return try #require(Double(fields[11])) + #require(Double(fields[12]))
        }
        let (before, start) = (try ticks(), ContinuousClock.now)
        try await Task.sleep(for: .seconds(2))
        let elapsed = (ContinuousClock.now - start) / .seconds(1)
        return (try ticks() - before) / Double(sysconf(Int32(_SC_CLK_TCK))) / elapsed
    }

    private static func descriptorCount(_ pid: Int32) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
    }

    private static func acceptFailures(_ caller: Caller) async throws -> Int {
        let metrics = try await caller.get("/metrics").expect(200).text
        return try #require(metrics.firstMatch(of: #/(?m)^firstcome_http_accept_failures_total (\d+)$/#).flatMap { Int($0.1) })
    }

    @Test("connections that do not fit are refused, at no cost, and those who come after them are served")
    func fitted() async throws {
        try await withDataFolder { folder in
            try await Self.started(folder, soft: 140, hard: 140) { serve in
                let warnings = serve.standardError.split(separator: "\n").filter { $0.contains("ulimit -n") }
                let warning = try #require(warnings.first?.firstMatch(of: #/asked=10000 limit=140 lowered=(\d+)/#))
                let connections = try #require(Int(warning.1))
                #expect(warnings.count == 1 && (16...60).contains(connections), "\(warnings)")
                let (clients, outcomes) = try await Self.open(160, sure: connections + 1, serve.port)
                #expect(outcomes[.answered(200)] == connections, "\(outcomes)")
                #expect(outcomes[.answered(503), default: 0] >= 1, "\(outcomes)")
                #expect(Set(outcomes.keys).isSubset(of: [.answered(200), .answered(503), .unanswered]), "\(outcomes)")
                #expect(try await Self.load(of: serve.pid) < 0.35)
                clients.close()

                let caller = Caller(pool: HTTPPool(port: serve.port, maximumConnections: 1))
                try await eventually("a new client is served") { (try? await caller.get("/readyz").status) == 200 }
                #expect(try await Self.acceptFailures(caller) == 0)
            }
        }
    }

    @Test("a service that runs out of descriptors stops accepting for moments, says so once, counts it, and goes on by itself")
    func exhausted() async throws {
        try await withDataFolder { folder in
            try await Self.started(folder, soft: 400, hard: 400) { serve in
                // Its connection is open before there are no more.
                let caller = Caller(pool: HTTPPool(port: serve.port, maximumConnections: 1))
                try await eventually("the service is ready") { try await caller.get("/readyz").status == 200 }
                // Room for a few connections beside the 32 descriptors that are left to others.
                let limit = try Self.descriptorCount(serve.pid) + 37
                let lowered = try await Tool.run(program: ["prlimit", "--pid", "\(serve.pid)", "--nofile=\(limit):400"])
                #expect(lowered.status == 0, "\(lowered)")

                let (clients, outcomes) = try await Self.open(24, sure: 0, serve.port)
                #expect(outcomes[.unanswered, default: 0] >= 8, "\(outcomes)")
                #expect(try await Self.load(of: serve.pid) < 0.35)
                // Connections have not taken what the rest of the service needs.
                #expect(try Self.descriptorCount(serve.pid) <= limit - 16)
                try await eventually("accept fails again and again") { try await Self.acceptFailures(caller) >= 2 }
                clients.close()

                let newcomer = Caller(pool: HTTPPool(port: serve.port, maximumConnections: 1))
                #expect(try await newcomer.get("/readyz").status == 200)
                #expect(try await newcomer.get("/products/top").status == 200)
                #expect(serve.standardError.split(separator: "\n").count { $0.contains("cannot accept connections") } == 1)
            }
        }
    }

    @Test("the soft limit is raised to the hard one, and nothing is said where all fits")
    func raised() async throws {
        try await withDataFolder { folder in
            try await Self.started(folder, soft: 100, hard: 3_000, ["--max-connections", "2000"]) { serve in
                let limits = try String(contentsOfFile: "/proc/\(serve.pid)/limits", encoding: .utf8)
                let line = try #require(limits.split(separator: "\n").first { $0.hasPrefix("Max open files") })
                #expect(line.split(separator: " ")[3] == "3000", "\(line)")
                #expect(!serve.standardError.contains("ulimit"), "\(serve.standardError)")
            }
        }
    }

    @Test("a limit too low to serve is an error of the start, which names what is needed", arguments: [40, 89])
    func tooLow(limit: Int) async throws {
        try await withDataFolder { folder in
            let output = try await Tool.run(
                ["serve", "--data", folder, "--port", "0", "--loops", "1"], wrapping: Self.limited(limit, limit))
            #expect(output.status == 1 && output.standardOutput.isEmpty && output.complaint.count == 1, "\(output)")
            #expect(
                output.standardError.contains("(ulimit -n) is \(limit)") && output.standardError.contains(#/needs 9\d or more/#),
                "\(output)")
        }
    }

    @Test("a listener for operators has its descriptors set apart, and is served while clients take all of theirs")
    func operators() async throws {
        try await withDataFolder { folder in
            try await Self.started(folder, soft: 220, hard: 220, ["--admin-listen", "127.0.0.1:0"]) { serve in
                let warning = try #require(serve.standardError.firstMatch(of: #/asked=10000 limit=220 lowered=(\d+)/#))
                let connections = try #require(Int(warning.1))
                #expect((16...70).contains(connections))
                let (clients, outcomes) = try await Self.open(160, sure: connections, serve.port)
                #expect(outcomes[.answered(200)] == connections, "\(outcomes)")
                let port = try await serve.operatorsPort
                let operators = Caller(pool: HTTPPool(port: port, maximumConnections: 40))
                for _ in 0..<40 { #expect(try await operators.get("/healthz").status == 200) }
                let metrics = try await operators.get("/metrics").text
                let open = try #require(metrics.firstMatch(of: #/\nfirstcome_http_connections (\d+)\n/#).flatMap { Int($0.1) })
                // Those of operators count too.
                #expect((connections + 1...connections + 40).contains(open))
                try await eventually("the service is ready") { try await operators.get("/readyz").status == 200 }
                #expect(try await Self.acceptFailures(operators) == 0)
                clients.close()
            }
        }
    }

    @Test("what is set apart for operators is not given to clients")
    func shareWithOperators() throws {
        let operators = try ListenAddress("127.0.0.1:0", flag: "--admin-listen").operatorsConfiguration
        let others = DescriptorLimit.reserve(operators: operators)
        #expect(others == 74 && DescriptorLimit.reserve(operators: nil) == 0)
        let limit = DescriptorLimit(descriptors: 1_034, open: 10)
        #expect(try limit.share(wanted: 10_000, loops: 2, others: others) == DescriptorLimit.Share(connections: 762, refusals: 108))
        #expect(throws: CommandError.self) { try DescriptorLimit(descriptors: 171, open: 10).share(wanted: 1, loops: 1, others: others) }
        #expect(try DescriptorLimit(descriptors: 172, open: 10).share(wanted: 100, loops: 1, others: others).connections == 14)
    }

    @Test(
        "connections and refusals together leave the reserve free",
        arguments: [
            (20_000, 10_000, 1, 10_000, 256), (150, 10_000, 1, 60, 8), (98, 10_000, 1, 14, 2), (98, 5, 1, 5, 11), (1_034, 800, 1, 800, 152),
            (1_034, 10_000, 2, 826, 118), (4_106, 10_000, 2, 3_760, 256), (10_842, 10_000, 64, 10_000, 256),
        ])
    func share(limit: Int, wanted: Int, loops: Int, connections: Int, refusals: Int) throws {
        let share = try DescriptorLimit(descriptors: limit, open: 10).share(wanted: wanted, loops: loops)
        #expect(share == DescriptorLimit.Share(connections: connections, refusals: refusals))
        #expect(share.connections + share.refusals <= limit - 10 - DescriptorLimit.reserve(loops: loops))
    }
}
