import Logging
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import Redis

@Suite("What the log says of a Redis that is gone")
struct OutageLogTests {
    private let log = RedisOutageLog(endpoint: .unix(path: "/x"), logger: LogLines().logger())
    private let connections = [ObjectIdentifier(First.self), ObjectIdentifier(Second.self)]
    private func at(_ seconds: Int64) -> NIODeadline { .uptimeNanoseconds(UInt64(seconds) * 1_000_000_000) }

    @Test("one line when the first connection is lost, one when the last is there again, and reminders a minute apart")
    func lines() {
        #expect(log.note(loss: connections[0], now: at(10)) == .gone)
        #expect(log.note(loss: connections[1], now: at(10)) == nil)
        for second in 11..<70 { #expect(log.note(loss: connections[0], now: at(Int64(second))) == nil) }
        #expect(log.note(loss: connections[1], now: at(70)) == .stillGone(for: .seconds(60)))
        #expect(log.note(loss: connections[0], now: at(129)) == nil)
        #expect(log.note(loss: connections[0], now: at(130)) == .stillGone(for: .seconds(120)))
        #expect(log.note(ready: connections[0], now: at(131)) == nil)
        #expect(log.note(ready: connections[1], now: at(132)) == .back(after: .seconds(122)))
        #expect(log.note(ready: connections[1], now: at(133)) == nil)
        #expect(log.note(loss: connections[1], now: at(134)) == .gone)
    }

    @Test("a server that ends and starts again is two lines, in words and with its address")
    func realServer() async throws {
        try await withTemporaryRedis { server in
            let lines = LogLines()
            var configuration = RedisConfiguration(endpoint: server.endpoint)
            configuration.connectTimeout = .seconds(30)
            let client = RedisClient(
                configuration: configuration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: lines.logger())
            client.start()
            try await eventually("connected") { client.isConnected }
            server.kill()
            try await eventually("several tries have failed") { lines.all.count { $0.contains("no connection to Redis") } > 4 }
            try server.start()
            try await eventually("connected again") { client.isConnected }
            let loud = lines.all.filter { !$0.hasPrefix("debug") }
            #expect(loud.count == 2, "\(loud)")
            #expect(loud.allSatisfy { $0.contains(server.socketPath) })
            #expect(loud.first?.hasPrefix("warning Redis at ") == true && loud.last?.hasPrefix("notice Redis at ") == true, "\(loud)")
            for line in lines.all { #expect(!line.contains("NIO") && !line.contains("Error("), "\(line)") }
            await client.close()
        }
    }

    @Test("a port where nobody listens and a name that nobody knows are said in words")
    func words() async throws {
        for (host, words) in [("127.0.0.1", "Connection refused"), ("no-such-host.invalid", "is not known")] {
            let lines = LogLines()
            let client = RedisClient(
                configuration: RedisConfiguration(endpoint: try RedisEndpoint(url: "redis://\(host):1")),
                eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: lines.logger())
            client.start()
            try await eventually("the first try has failed") { !lines.all.isEmpty }
            #expect(lines.all.first?.contains(words) == true && lines.all.first?.contains("NIO") == false, "\(lines.all)")
            await client.close()
        }
    }
}

private enum First {}
private enum Second {}
