import Foundation
import HTTPServer
import JSON
import Logging
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@Suite("The access log")
struct AccessLogTests {
    /// A server that logs, with what it has written so far.
    private struct LoggingServer: Sendable {
        let log: AccessLog
        let path: String
        let server: HTTPListener
        let port: Int
        let lines: LogLines

        /// The lines of a file as JSON, checked one by one; the last line must be whole.
        func written(to path: String? = nil) throws -> [JSONValue] {
            let text = try String(contentsOfFile: path ?? self.path, encoding: .utf8)
            guard !text.isEmpty else { return [] }
            try #require(text.hasSuffix("\n"), "\(text.suffix(300))")
            return try text.split(separator: "\n").map { try JSONParser.parse(ByteBuffer(string: String($0))) }
        }

        /// Waits for that many lines.
        func lines(_ count: Int) async throws -> [JSONValue] {
            try await eventually("\(count) lines are written") {
                (try? String(contentsOfFile: path, encoding: .utf8))?.count { $0 == "\n" } ?? 0 >= count
            }
            let lines = try written()
            try #require(lines.count == count, "\(lines)")
            return lines
        }
    }

    private static let routes = ["/plain", "/with/\"quotes\""]

    /// Runs `body` with a server that logs to a file, or to a destination in the folder that `prepare` makes.
    private func withLog(
        configure: (inout HTTPServerConfiguration) -> Void = { _ in }, notes: RequestNotes = RequestNotes(),
        responder: @escaping HTTPResponder = { _ in .now(.text("ok")) }, to file: (String) throws -> String = { $0 + "/access.log" },
        _ body: (LoggingServer) async throws -> Void
    ) async throws {
        let folder = TemporaryFolder(on: .memory)
        defer { folder.remove() }
        let lines = LogLines()
        let path = try file(folder.path)
        let log = try AccessLog(
            .file(path), routes: Self.routes, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: lines.logger())
        do {
            try await withServer(
                configure: {
                    configure(&$0)
                    $0.accessLog = log
                }, responder: responder, notes: notes
            ) { server, port in
                try await body(LoggingServer(log: log, path: path, server: server, port: port, lines: lines))
            }
        } catch {
            await log.close()
            throw error
        }
        await log.close()
    }

    private func exchange(_ port: Int, _ requests: String..., isHead: Bool = false) async throws -> [RawHTTPResponse] {
        try await offPool {
            let client = try RawHTTPClient(port: port)
            return try requests.map { try client.exchange($0, isHead: isHead) }
        }
    }

    @Test("a line says who asked for what and when, and how it ended; nothing that may be secret is in it")
    func line() async throws {
        let notes = RequestNotes()
        let responder: HTTPResponder = { request in
            notes.route = 0
            if request.path == "/user" { notes.sender = .user(42) }
            if request.path == "/admin" { notes.sender = .admin(subject: "오퍼레이터 \"a\"") }
            if request.path == "/none" { notes.route = nil }
            return .now(.text(status: request.path == "/none" ? 404 : 200, "ok"))
        }
        let before = Date()
        try await withLog(notes: notes, responder: responder) { server in
            let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            let secrets = ["Authorization: Bearer hidden1", "Cookie: hidden2", "X-Key: hidden3"]
            let answers = try await exchange(
                server.port,
                "POST /user?token=hidden4 HTTP/1.1\r\nHost: hidden5\r\n" + secrets.map { $0 + "\r\n" }.joined()
                    + "User-Agent: tester/1.0 (\"x\")\r\ntraceparent: \(trace)\r\nX-Request-Id: my/1\r\nContent-Length: 7\r\n\r\nhidden6",
                .get("/admin"), "GET /none HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            let lines = try await server.lines(3)
            let text = try String(contentsOfFile: server.path, encoding: .utf8)
            #expect(!text.contains("hidden"), "\(text)")
            for (line, answer) in zip(lines, answers) {
                let id = try #require(answer["x-request-id"])
                #expect(line["request"] == .string(id))
                #expect(line["status"] == .integer(Int64(answer.status)) && line["remote"] == .string("127.0.0.1"))
                guard case .integer(let microseconds)? = line["microseconds"] else { throw RawHTTPClient.Failure.malformed("\(line)") }
                #expect(microseconds >= 0 && microseconds < 600_000_000)
                guard case .string(let time)? = line["time"] else { throw RawHTTPClient.Failure.malformed("\(line)") }
                #expect(time.wholeMatch(of: #/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/#) != nil, "\(time)")
                let format = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
                let date = try Date(time, strategy: format)
                // The clocks of both are read at slightly different moments.
                #expect(date > before.addingTimeInterval(-1) && date < Date().addingTimeInterval(1))
                guard case .integer(let bytes)? = line["bytes"] else { throw RawHTTPClient.Failure.malformed("\(line)") }
                let fields = answer.headers.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 4 }
                #expect(Int(bytes) == answer.statusLine.utf8.count + 2 + fields + 2 + answer.body.utf8.count)
            }
            #expect(lines[0]["method"] == .string("POST") && lines[0]["path"] == .string("/user") && lines[0]["http"] == .string("1.1"))
            #expect(lines[0]["route"] == .string("/plain") && lines[0]["trace"] == .string("0af7651916cd43dd8448eb211c80319c"))
            #expect(lines[0]["role"] == .string("user") && lines[0]["user"] == .integer(42) && lines[0]["subject"] == nil)
            #expect(lines[0]["userAgent"] == .string("tester/1.0 (\"x\")"))
            #expect(lines[1]["role"] == .string("admin") && lines[1]["subject"] == .string("오퍼레이터 \"a\"") && lines[1]["user"] == nil)
            #expect(lines[1]["trace"] == nil && lines[1]["userAgent"] == nil)
            #expect(lines[2]["role"] == nil && lines[2]["user"] == nil && lines[2]["route"] == .null)
            #expect(lines[2]["http"] == .string("1.0"))
        }
    }

    @Test("every byte that a field may have is written as itself, an escape or U+FFFD, wherever it stands")
    func everyByte() async throws {
        let texts = ([0x21...0x7E, 0x80...0xFF] as [ClosedRange<UInt8>]).joined().flatMap { byte in
            [0, 5, 7, 8, 9].map { Array(repeating: UInt8(ascii: "a"), count: $0) + [byte] + Array("0123456789".utf8.prefix(9 - $0)) }
        }
        try await withLog { server in
            try await offPool {
                let client = try RawHTTPClient(port: server.port)
                for text in texts {
                    try client.send(Array("GET / HTTP/1.1\r\nHost: test\r\nUser-Agent: ".utf8) + text + Array("\r\n\r\n".utf8))
                    #expect(try client.readResponse().status == 200)
                }
            }
            for (line, text) in zip(try await server.lines(texts.count), texts) {
                #expect(line["userAgent"] == .string(String(decoding: text, as: UTF8.self)))
            }
        }
    }

    @Test("whatever a client sends, its line is one line of valid JSON in UTF-8")
    func hostile() async throws {
        let notes = RequestNotes()
        let responder: HTTPResponder = { request in
            notes.route = 1
            return .now(.text(request.path))
        }
        let agents: [[UInt8]] = [
            Array("\"}\\\n".utf8.filter { $0 != 10 }), [0xFF, 0xFE, 0x80], Array("한글 é\u{2028}\u{85}\u{9b}".utf8),
            Array(repeating: 0xC3, count: 3_000), Array("\t\\u0000\\".utf8) + [0xE2, 0x82],
        ]
        let path = "/\"\\<script>'{}" + String(repeating: "p", count: 5_000)
        try await withLog(notes: notes, responder: responder) { server in
            try await offPool {
                let client = try RawHTTPClient(port: server.port)
                for agent in agents {
                    try client.send(Array("GET \(path) HTTP/1.1\r\nHost: test\r\nUser-Agent: ".utf8) + agent + Array("\r\n\r\n".utf8))
                    #expect(try client.readResponse().status == 200)
                }
                let method = String(repeating: "M", count: 300)
                #expect(try client.exchange("\(method) http://test HTTP/1.1\r\nHost: test\r\n\r\n").status == 200)
            }
            let lines = try await server.lines(agents.count + 1)
            for line in lines.dropLast() {
                #expect(line["path"] == .string(String(path.prefix(1_024))) && line["pathIsCut"] == .bool(true))
                #expect(line["route"] == .string("/with/\"quotes\""))
            }
            #expect(lines[0]["userAgent"] == .string("\"}\\") && lines[1]["userAgent"] == .string("\u{FFFD}\u{FFFD}\u{FFFD}"))
            #expect(lines[2]["userAgent"] == .string("한글 é\u{2028}\u{85}\u{9b}"))
            #expect(lines.last?["path"] == .string("/") && lines.last?["method"] == .string(String(repeating: "M", count: 32)))
            #expect(lines.last?["pathIsCut"] == nil)
            let text = try String(contentsOfFile: server.path, encoding: .utf8)
            // What some viewers take for the end of a line or for a control sequence is escaped.
            #expect(!text.unicodeScalars.contains { $0 != "\n" && ($0.value < 0x20 || (0x7F..<0xA0).contains($0.value)) })
            #expect(!text.contains("\u{2028}"))
        }
    }

    @Test("requests that the server refuses by itself have lines, with what is known of them")
    func refused() async throws {
        try await withLog { server in
            let requests = [
                "GARBAGE\r\n\r\n", "GET /bad HTTP/1.1\r\n\r\n", "POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n",
            ]
            var statuses: [Int] = []
            for (index, request) in requests.enumerated() {
                statuses += try await exchange(server.port, request).map(\.status)
                // Connections of several loops write in any order.
                _ = try await server.lines(index + 1)
            }
            #expect(statuses == [400, 400, 413])
            let lines = try await server.lines(requests.count)
            #expect(lines.map { $0["status"] } == statuses.map { .integer(Int64($0)) })
            #expect(lines.map { $0["method"] } == [.null, .string("GET"), .string("POST")])
            #expect(lines.map { $0["path"] } == [.null, .string("/bad"), .string("/big")])
            #expect(lines.allSatisfy { $0["route"] == .null && $0["remote"] == .string("127.0.0.1") })
        }
        // Long enough for a slow machine to send before the time is up.
        try await withLog(configure: { $0.headTimeout = .seconds(8) }) { server in
            #expect(try await exchange(server.port, "GET /").map(\.status) == [408])
            let line = try await server.lines(1)[0]
            #expect(line["status"] == .integer(408) && line["method"] == .null && line["path"] == .null && line["route"] == .null)
        }
        try await withLog(configure: { $0.maximumConnections = 0 }) { server in
            let status = try await offPool { try RawHTTPClient(port: server.port).readResponse().status }
            let line = try await server.lines(1)[0]
            #expect(status == 503 && line["status"] == .integer(503))
        }
        try await withLog(configure: { $0.maximumRequestsInFlight = 0 }) { server in
            #expect(try await exchange(server.port, .get("/busy"))[0].status == 429)
            let line = try await server.lines(1)[0]
            #expect(line["status"] == .integer(429) && line["path"] == .string("/busy"))
        }
    }

    @Test("late, pipelined and HEAD answers have one line each, in the order of the answers")
    func kinds() async throws {
        let responder: HTTPResponder = { request in
            let path = request.path
            switch path {
            case "/task":
                return .task {
                    await Task.yield()
                    return .text(path)
                }
            case "/callback": return .callback { $0(.success(.text(path))) }
            default: return .now(.text(path))
            }
        }
        try await withLog(responder: responder) { server in
            try await offPool {
                let client = try RawHTTPClient(port: server.port)
                try client.send(.get("/task") + .get("/now") + .get("/callback") + "HEAD /head HTTP/1.1\r\nHost: test\r\n\r\n")
                for isHead in [false, false, false, true] { _ = try client.readResponse(isHead: isHead) }
            }
            let lines = try await server.lines(4)
            #expect(lines.map { $0["path"] } == ["/task", "/now", "/callback", "/head"].map { .string($0) })
            #expect(lines.map { $0["method"] } == ["GET", "GET", "GET", "HEAD"].map { .string($0) })
        }
    }

    @Test("a sender that a handler learns after its call is in the line of its own request")
    func lateSender() async throws {
        let notes = RequestNotes()
        let responder: HTTPResponder = { request in
            guard request.path == "/late" else { return .now(.text("ok")) }
            let (id, loop) = (request.id, request.eventLoop)
            return .callback { done in
                loop.execute {
                    notes.noteLate(.user(7), of: id)
                    done(.success(.text("late")))
                }
            }
        }
        try await withLog(notes: notes, responder: responder) { server in
            _ = try await exchange(server.port, .get("/late"), .get("/"), .get("/late"))
            let lines = try await server.lines(3)
            #expect(lines.map { $0["user"] } == [.integer(7), nil, .integer(7)])
        }
    }

    @Test("a request whose client hung up is logged when its handler answers, with no bytes sent")
    func hungUp() async throws {
        let gate = Gate()
        let responder: HTTPResponder = { _ in
            .task {
                await gate.pass()
                return .text(status: 201, "done")
            }
        }
        try await withLog(responder: responder) { server in
            try await offPool {
                let client = try RawHTTPClient(port: server.port)
                try client.send(.post("/paid", "x"))
                try waitUntil { gate.entered == 1 }
                client.reset()
            }
            try await eventually("the connection is gone") { server.server.statistics.openConnections == 0 }
            gate.open()
            let line = try await server.lines(1)[0]
            #expect(line["status"] == .integer(201) && line["bytes"] == .integer(0) && line["path"] == .string("/paid"))
        }
    }

    @Test("a stream has its line when it ends, with its bytes, and whether it is complete")
    func streams() async throws {
        let (complete, going) = (Gate(), Gate())
        let responder: HTTPResponder = { request in
            let path = request.path
            return .stream(
                HTTPStream(contentType: "text/plain") { writer in
                    try await writer.write(ByteBuffer(string: "0123456789"))
                    if path == "/complete" { return await complete.pass() }
                    if path == "/fails" { throw CancellationError() }
                    await going.pass()
                })
        }
        try await withLog(responder: responder) { server in
            let client = try await offPool { () -> ClientBox in
                let client = try RawHTTPClient(port: server.port)
                try client.send(.get("/complete"))
                _ = try client.readHead()
                _ = try client.readChunk()
                return ClientBox(client)
            }
            #expect(try server.written().isEmpty)
            complete.open()
            try await offPool {
                _ = try client.client.readChunks()
                try client.client.send("HEAD / HTTP/1.1\r\nHost: t\r\n\r\n" + .get("/fails"))
                _ = try? client.client.readToEnd()
                // Its handler has not returned when the line is written.
                let gone = try RawHTTPClient(port: server.port)
                try gone.send(.get("/gone"))
                _ = try gone.readHead()
                gone.close()
            }
            let lines = try await server.lines(4)
            #expect(lines.map { $0["path"] } == ["/complete", "/", "/fails", "/gone"].map { .string($0) })
            #expect(lines.allSatisfy { $0["status"] == .integer(200) })
            #expect(lines.map { $0["incomplete"] } == [nil, nil, .bool(true), .bool(true)])
            func bytes(_ line: Int) throws -> Int64 {
                guard case .integer(let count)? = lines[line]["bytes"] else { throw RawHTTPClient.Failure.malformed("\(lines[line])") }
                return count
            }
            // The heads are alike. A chunk of ten bytes is five longer than they, and the last chunk has five.
            let head = try bytes(1)
            #expect(try bytes(0) == head + 15 + 5 && bytes(2) == head + 15 && bytes(3) == head + 15)
            going.open()
        }
    }

    @Test("a request that is cut off at the end of the drain has a line without a status")
    func cutOff() async throws {
        let gate = Gate()
        let folder = TemporaryFolder(on: .memory)
        defer { folder.remove() }
        let log = try AccessLog(
            .file(folder.path + "/access.log"), routes: [], eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            logger: LogLines().logger())
        let responder: HTTPResponder = { _ in
            .task {
                await gate.pass()
                return .text("never seen")
            }
        }
        try await withServer(configure: { $0.accessLog = log }, responder: responder) { server, port in
            let client = try await offPool {
                let client = try RawHTTPClient(port: port)
                try client.send(.get("/held"))
                try waitUntil { gate.entered == 1 }
                return UnsafeTransfer(client)
            }
            await server.drain(deadline: .zero)
            await log.close()
            let text = try String(contentsOfFile: folder.path + "/access.log", encoding: .utf8)
            let line = try JSONParser.parse(ByteBuffer(string: text))
            #expect(line["status"] == .null && line["path"] == .string("/held"), "\(text)")
            gate.open()
            client.wrappedValue.close()
        }
    }

    @Test("after a rename, reopening goes on in a new file: every request has its line in one of the two, and each line is whole")
    func rotated() async throws {
        try await withLog { server in
            let load = Load()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<2 {
                    group.addTask {
                        try await offPool {
                            let client = try RawHTTPClient(port: server.port)
                            while !load.done.load(ordering: .relaxed) {
                                try client.send(String(repeating: .get("/"), count: 20))
                                for _ in 0..<20 { _ = try client.readResponse() }
                                load.sent.wrappingAdd(20, ordering: .relaxed)
                            }
                        }
                    }
                }
                for index in 0..<5 {
                    let before = load.sent.load(ordering: .relaxed)
                    try await eventually("requests go on") { load.sent.load(ordering: .relaxed) > before + 200 }
                    try FileManager.default.moveItem(atPath: server.path, toPath: server.path + ".\(index)")
                    try server.log.reopen()
                    try await eventually("the new file is used") {
                        (try? FileManager.default.attributesOfItem(atPath: server.path)[.size] as? Int) ?? 0 > 0
                    }
                }
                load.done.store(true, ordering: .relaxed)
                try await group.waitForAll()
            }
            await server.log.close()
            let files = [server.path] + (0..<5).map { server.path + ".\($0)" }
            let counts = try files.map { try server.written(to: $0).count }
            // The first file may have been renamed before its first line was written.
            #expect(counts.reduce(0, +) == load.sent.load(ordering: .relaxed) && counts.count { $0 > 0 } >= 5, "\(counts)")
            let ids = try files.flatMap { try server.written(to: $0).map { "\(String(describing: $0["request"]))" } }
            #expect(Set(ids).count == ids.count)
            #expect(server.log.dropped == 0)
        }
    }

    @Test("a file that cannot be opened again leaves the former one in use, and its error says which and why")
    func notReopened() async throws {
        try await withLog { server in
            _ = try await exchange(server.port, .get("/"))
            _ = try await server.lines(1)
            let moved = server.path + ".moved"
            try FileManager.default.moveItem(atPath: server.path, toPath: moved)
            try FileManager.default.createDirectory(atPath: server.path, withIntermediateDirectories: false)
            let error = #expect(throws: AccessLogError.self) { try server.log.reopen() }
            #expect(error?.description == "cannot open the access log \(server.path): Is a directory")
            _ = try await exchange(server.port, .get("/"))
            try await eventually("the line is written") { try server.written(to: moved).count == 2 }
        }
        #expect(throws: AccessLogError.self) {
            try AccessLog(
                .file("/nonexistent/access.log"), routes: [], eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
                logger: LogLines().logger())
        }
    }

    @Test("a reader that does not read delays no request; what is dropped is counted, and a line says how many when it reads again")
    func blockedReader() async throws {
        let reader = Mutex<Int32>(-1)
        try await withLog(to: { folder in
            let path = folder + "/pipe"
            try #require(mkfifo(path, 0o600) == 0)
            reader.withLock { $0 = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) }
            return path
        }) { server in
            let descriptor = reader.withLock { $0 }
            let request = String.get("/" + String(repeating: "x", count: 1_000), "User-Agent: " + String(repeating: "y", count: 250))
            // Far more than the pipe and the permitted chunks hold: 64 KiB and 4 MiB.
            let rounds = 300
            try await offPool {
                let client = try RawHTTPClient(port: server.port)
                for _ in 0..<rounds {
                    try client.send(String(repeating: request, count: 20))
                    for _ in 0..<20 { #expect(try client.readResponse().status == 200) }
                }
            }
            let dropped = server.log.dropped
            #expect(dropped > 0 && dropped < rounds * 20 && server.server.statistics.accessLogDropped == dropped)
            try await eventually("the log says so") { server.lines.at(.error).count == 1 }
            // One more request, so that a line comes after what was dropped.
            var text: [UInt8] = []
            var bytes = [UInt8](repeating: 0, count: 65_536)
            func readAvailable() {
                while case let count = read(descriptor, &bytes, bytes.count), count > 0 { text += bytes[..<count] }
            }
            try await eventually("all that was kept is written") {
                readAvailable()
                return text.count { $0 == UInt8(ascii: "\n") } >= rounds * 20 - dropped
            }
            _ = try await exchange(server.port, .get("/last"))
            try await eventually("the number of dropped requests is written, and the last request") {
                readAvailable()
                return String(decoding: text.suffix(2_000), as: UTF8.self).contains("/last")
            }
            let lines = try String(decoding: text, as: UTF8.self).split(separator: "\n").map {
                try JSONParser.parse(ByteBuffer(string: String($0)))
            }
            let reports = lines.compactMap { line -> Int64? in
                if case .integer(let count)? = line["dropped"] { count } else { nil }
            }
            #expect(reports.reduce(0, +) == Int64(dropped))
            #expect(lines.count - reports.count == rounds * 20 - dropped + 1)
            #expect(server.lines.at(.notice).count == 1)
            close(descriptor)
        }
    }

    @Test("a disk without room delays no request and not the end; the missing lines are counted")
    func fullDisk() async throws {
        let log = LogLines()
        let access = try AccessLog(
            .file("/dev/full"), routes: [], eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: log.logger())
        try await withServer(configure: { $0.accessLog = access }, responder: { _ in .now(.text("ok")) }) { server, port in
            _ = try await offPool {
                let client = try RawHTTPClient(port: port)
                for _ in 0..<10 { #expect(try client.exchange(.get("/")).status == 200) }
            }
            try await eventually("the log says so") { log.at(.error).count == 1 }
            #expect(log.all.contains { $0.contains("No space left on device") })
            await access.close()
            #expect(access.dropped == 10)
        }
    }

    @Test("a line that a full disk has cut off is ended before the next one")
    func cutLine() async throws {
        try await withLog(to: { folder in
            try Data("{\"time\":\"20".utf8).write(to: URL(filePath: folder + "/access.log"))
            return folder + "/access.log"
        }) { server in
            _ = try await exchange(server.port, .get("/next"))
            try await eventually("the line is written") {
                try String(contentsOfFile: server.path, encoding: .utf8).contains("/next")
            }
            let lines = try String(contentsOfFile: server.path, encoding: .utf8).split(separator: "\n")
            try #require(lines.count == 2)
            #expect(try JSONParser.parse(ByteBuffer(string: String(lines[1])))["path"] == .string("/next"))
        }
    }

    @Test("a FIFO without a reader is refused at once")
    func noReader() throws {
        let folder = TemporaryFolder(on: .memory)
        defer { folder.remove() }
        try #require(mkfifo(folder.path + "/pipe", 0o600) == 0)
        let error = #expect(throws: AccessLogError.self) {
            try AccessLog(
                .file(folder.path + "/pipe"), routes: [], eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
                logger: LogLines().logger())
        }
        #expect(error?.description.contains("no process reads from the FIFO") == true)
    }

    @Test("a new log may be read by its owner and its group alone")
    func mode() async throws {
        try await withLog { server in
            let attributes = try FileManager.default.attributesOfItem(atPath: server.path)
            let mode = try #require(attributes[.posixPermissions] as? Int)
            #expect(mode & 0o137 == 0)
        }
    }
}

/// Requests that are sent until they are to end.
private final class Load: Sendable {
    let done = Atomic<Bool>(false)
    let sent = Atomic<Int>(0)
}

/// Carries a value that is used by one thread at a time out of a closure that must be `Sendable`.
private struct UnsafeTransfer<Value>: @unchecked Sendable {
    let wrappedValue: Value
    init(_ value: Value) { wrappedValue = value }
}
