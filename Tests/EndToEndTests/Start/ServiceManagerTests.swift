import Foundation
import Logging
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import App

extension EndToEnd {
    @Suite("What a service manager is told")
    struct ServiceManagerTests {}
}

/// The socket of a service manager, which keeps what it is told.
private final class NotificationSocket: Sendable {
    /// The value of `NOTIFY_SOCKET`.
    let name: String
    private let descriptor: Int32

    /// - Parameter name: a path, or a name that begins with @ in the abstract namespace.
    init(_ name: String) throws {
        self.name = name
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(name.utf8)
        if bytes.first == UInt8(ascii: "@") { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        guard result == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    }

    deinit { close(descriptor) }

    /// The next message's lines; nil where there is none.
    private func receive() -> [String: String]? {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return nil }
        let lines = String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n")
        return Dictionary(
            uniqueKeysWithValues: lines.map { line in
                let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
                return (parts[0], parts.count > 1 ? parts[1] : "")
            })
    }

    /// Waits for a message with that variable, and returns it. Signs of life in between are passed over.
    func message(with variable: String) async throws -> [String: String] {
        var found: [String: String] = [:]
        try await eventually("the service manager is told \(variable)") {
            while let message = receive() {
                if message[variable] != nil {
                    found = message
                    return true
                }
                #expect(message == ["WATCHDOG": "1"], "instead of \(variable)")
            }
            return false
        }
        return found
    }
}

private final class Counts: Sendable {
    let pulses = Atomic<Int>(0)
    let ticks = Atomic<Int>(0)
    let isHanging = Atomic<Bool>(false)
    let isOver = Atomic<Bool>(false)
}

extension EndToEnd.ServiceManagerTests {
    @Test(
        "it is told when the service is ready, alive, rereads its files and stops, and SIGHUP does not end the service",
        arguments: [false, true])
    func lifecycle(isAbstract: Bool) async throws {
        try await withDataFolder { folder in
            let manager = try NotificationSocket(
                isAbstract ? "@firstcome-test-\(getpid())-\(UInt32.random(in: 0 ... .max))" : folder + "/notify")
            let environment = ["NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "400000"]
            try await withServe(folder, ["--port", "0", "--drain-timeout", "3s"], environment: environment) { serve in
                let ready = try await manager.message(with: "READY")
                #expect(ready["READY"] == "1" && ready["STATUS"] == "listens on http://127.0.0.1:\(serve.port)")
                for _ in 0..<3 { #expect(try await manager.message(with: "WATCHDOG") == ["WATCHDOG": "1"]) }

                serve.send(SIGHUP)
                let reloading = try await manager.message(with: "RELOADING")
                let since = try #require(reloading["MONOTONIC_USEC"].flatMap { Int64($0) })
                var now = timespec()
                clock_gettime(CLOCK_MONOTONIC, &now)
                #expect(reloading["RELOADING"] == "1" && (0...181_000_000).contains(Int64(now.tv_sec + 1) * 1_000_000 - since))
                #expect(try await manager.message(with: "READY")["READY"] == "1")
                let pool = HTTPPool(port: serve.port, maximumConnections: 1)
                #expect(try await Caller(pool: pool).get("/healthz").status == 200)
                await pool.close()

                serve.send(SIGTERM)
                let stopping = try await manager.message(with: "STOPPING")
                #expect(stopping["STOPPING"] == "1" && stopping["EXTEND_TIMEOUT_USEC"] == "23000000")
                #expect(try await serve.wait() == 0)
                #expect(!serve.standardError.contains("warning"), "\(serve.standardError)")
            }
        }
    }

    @Test("there is no sign of life while one event loop hangs, and there is one again when it goes on")
    func hang() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 3)
        let loops = Array(group.makeIterator())
        let counts = Counts()
        let pulse = LoopPulse(of: loops.map { $0 as any EventLoop }, every: .milliseconds(5)) {
            counts.pulses.add(1, ordering: .relaxed)
        }
        try await eventually("there are signs of life") { counts.pulses.load(ordering: .relaxed) > 3 }

        loops[1].execute {
            counts.isHanging.store(true, ordering: .releasing)
            while !counts.isOver.load(ordering: .acquiring) { usleep(1_000) }
        }
        try await eventually("a loop hangs") { counts.isHanging.load(ordering: .acquiring) }
        let before = counts.pulses.load(ordering: .relaxed)
        // The first loop goes on, and would have given some twenty signs.
        loops[0].scheduleRepeatedTask(initialDelay: .zero, delay: .milliseconds(5)) { _ in counts.ticks.add(1, ordering: .relaxed) }
        try await eventually("the first loop goes on") { counts.ticks.load(ordering: .relaxed) > 20 }
        // One whose tasks all ran before the hang may have been counted after it.
        #expect(counts.pulses.load(ordering: .relaxed) <= before + 1)
        counts.isOver.store(true, ordering: .releasing)
        try await eventually("there are signs of life again") { counts.pulses.load(ordering: .relaxed) > before + 1 }
        await pulse.stop()
        let last = counts.pulses.load(ordering: .relaxed)
        let ticks = counts.ticks.load(ordering: .relaxed)
        try await eventually("the first loop goes on") { counts.ticks.load(ordering: .relaxed) > ticks + 20 }
        #expect(counts.pulses.load(ordering: .relaxed) == last, "no sign of life after the end")
        try await group.shutdownGracefully()
    }

    @Test("without a service manager nothing is told, and a watchdog meant for another process is not ours")
    func nobody() throws {
        let logger = Logger(label: "tests")
        #expect(ServiceManager(environment: [:], logger: logger) == nil)
        #expect(ServiceManager(environment: ["NOTIFY_SOCKET": ""], logger: logger) == nil)
        #expect(ServiceManager(environment: ["NOTIFY_SOCKET": "vsock:2:1"], logger: logger) == nil)
        func period(_ variables: [String: String]) -> Int64? {
            ServiceManager(environment: variables.merging(["NOTIFY_SOCKET": "/run/x"]) { $1 }, processID: 7, logger: logger)?
                .watchdogMicroseconds
        }
        #expect(period([:]) == nil)
        #expect(period(["WATCHDOG_USEC": "0"]) == nil)
        #expect(period(["WATCHDOG_USEC": "5000000"]) == 5_000_000)
        #expect(period(["WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "7"]) == 5_000_000)
        #expect(period(["WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "8"]) == nil)
    }

    @Test("a manager that is gone costs a warning, and the service runs")
    func gone() async throws {
        try await withDataFolder { folder in
            try await withServe(folder, environment: ["NOTIFY_SOCKET": folder + "/nobody"]) { serve in
                try await eventually("the log says so") {
                    serve.standardError.contains("the service manager could not be told that the service is ready")
                }
                #expect(try await serve.end() == 0)
            }
        }
    }

    @Test("the version is one line, and the same for every command")
    func version() async throws {
        for words in [["--version"], ["serve", "--version"]] {
            let output = try await Tool.run(words)
            #expect(output.status == 0 && output.standardOutput == "firstcome \(FirstcomeVersion.text)\n" && output.standardError.isEmpty)
        }
        #expect(FirstcomeVersion.text.wholeMatch(of: /\d+\.\d+\.\d+/) != nil)
    }
}
