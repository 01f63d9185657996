import NIOCore
import TestSupport
import Testing

@testable import HTTPServer

/// What happens to a connection in a test.
private enum Event {
    case bytes(String)
    case endOfInput
    case unwritable
    case writable
    case answer(Int)
    /// The handler answers this request with a stream.
    case stream(Int)
    /// The stream is complete.
    case streamEnd
    case sent
    case drain
    case after(TimeAmount)
    /// Time has passed, and this many bytes are not sent.
    case afterUnsent(TimeAmount, Int)
    case closed
}

/// A state machine with a clock of its own, whose actions are written down as words.
private struct Rig {
    var machine: HTTPConnectionStateMachine
    var now = NIODeadline.uptimeNanoseconds(1)

    static let limits: HTTPLimits = {
        var limits = HTTPLimits()
        limits.maximumHeaderBytes = 200
        limits.maximumBodyBytes = 20
        limits.maximumHeaderFields = 4
        return limits
    }()

    init(refusal: HTTPRefusal? = nil, refusesAfterHead: Bool = false) {
        machine = HTTPConnectionStateMachine(limits: Rig.limits, now: now, refusal: refusal, refusesAfterHead: refusesAfterHead)
    }

    mutating func handle(_ event: Event) -> [String] {
        var words: [String] = []
        switch event {
        case .bytes(let text): machine.received(ByteBuffer(string: text), at: now)
        case .endOfInput: machine.inputEnded()
        case .unwritable: machine.writabilityChanged(false, at: now)
        case .writable: machine.writabilityChanged(true, at: now)
        case .answer(let number):
            if let form = machine.answered(number, at: now) {
                words.append("answer \(number)" + (form.isHead ? " without body" : "") + Rig.words(form.connection))
            } else {
                words.append("drop \(number)")
            }
        case .stream(let number):
            if let form = machine.streamBegan(number, at: now) {
                words.append("stream \(number)" + (form.isHead ? " without body" : "") + Rig.words(form.connection))
            } else {
                words.append("drop \(number)")
            }
        case .streamEnd: machine.streamEnded(at: now)
        case .sent: words += Rig.words(machine.lastAnswerSent(at: now))
        case .drain: machine.drain()
        case .after(let time):
            now = now + time
            words += Rig.words(machine.tick(now))
        case .afterUnsent(let time, let count):
            now = now + time
            words += Rig.words(machine.tick(now, taken: -count))
        case .closed: machine.closed()
        }
        while true {
            let action = Rig.words(machine.next(at: now))
            guard !action.isEmpty else { return words }
            words += action
        }
    }

    private static func words(_ connection: ConnectionField) -> String {
        switch connection {
        case .none: ""
        case .close: ", close"
        case .keepAlive: ", keep alive"
        }
    }

    private static func words(_ action: HTTPConnectionStateMachine.Action) -> [String] {
        switch action {
        case .run(let head, let bytes, let chunks, let number):
            let target = bytes.getString(at: bytes.readerIndex + head.target.range.lowerBound, length: head.target.range.count) ?? ""
            var body = chunks.map { String(buffer: $0) } ?? ""
            if case .length(let length) = head.framing {
                body = bytes.getString(at: bytes.readerIndex + head.byteCount, length: length) ?? "missing"
            }
            return ["run \(number) \(target)" + (body.isEmpty ? "" : " [\(body)]")]
        case .refuse(let refusal, let form): return ["refuse \(refusal.status)" + (form.isHead ? " without body" : "")]
        case .runLarge(_, _, let body, let number): return ["run large \(number): \(body.readableBytes) bytes"]
        case .askLargeBody(_, _, let length): return ["ask about \(length.map(String.init) ?? "chunks")"]
        case .sendContinue: return ["continue"]
        case .sendLast: return ["send last"]
        case .shutDownOutput: return ["shut down"]
        case .close: return ["close"]
        case .wait: return []
        }
    }
}

/// One row: what happens, and what is to be done after each of it.
private struct Row: CustomTestStringConvertible {
    let testDescription: String
    let steps: [(Event, [String])]
    var refusal: HTTPRefusal?
    var refusesAfterHead = false

    init(_ name: String, refusal: HTTPRefusal? = nil, afterHead refusesAfterHead: Bool = false, _ steps: [(Event, [String])]) {
        (testDescription, self.steps, self.refusal, self.refusesAfterHead) = (name, steps, refusal, refusesAfterHead)
    }
}

private let get = "GET /a HTTP/1.1\r\nHost: t\r\n\r\n"
private func head(_ fields: String) -> String { "POST /p HTTP/1.1\r\nHost: t\r\n\(fields)\r\n\r\n" }

private let rows: [Row] = [
    Row(
        "a request, its answer, and the next one",
        [
            (.bytes(get), ["run 1 /a"]), (.answer(1), ["answer 1"]), (.bytes(get), ["run 2 /a"]), (.answer(2), ["answer 2"]),
        ]),
    Row(
        "a head in pieces",
        [
            (.bytes("GET /a HT"), []), (.bytes("TP/1.1\r\nHost: t"), []), (.bytes("\r\n\r"), []), (.bytes("\n"), ["run 1 /a"]),
        ]),
    Row(
        "requests sent ahead wait as bytes",
        [
            (.bytes(get + get + "GET /b HTTP/1.1\r\n"), ["run 1 /a"]), (.answer(1), ["answer 1", "run 2 /a"]), (.answer(2), ["answer 2"]),
            (.bytes("Host: t\r\n\r\n"), ["run 3 /b"]),
        ]),
    Row(
        "a body of known length",
        [
            (.bytes(head("Content-Length: 5") + "hel"), []), (.bytes("lo" + get), ["run 1 /p [hello]"]),
            (.answer(1), ["answer 1", "run 2 /a"]),
        ]),
    Row(
        "a body in chunks",
        [
            (.bytes(head("Transfer-Encoding: chunked") + "3\r\nabc"), []), (.bytes("\r\n2\r\nde\r"), []),
            (.bytes("\n0\r\nT: u\r\n\r\n" + get), ["run 1 /p [abcde]"]), (.answer(1), ["answer 1", "run 2 /a"]),
        ]),
    Row(
        "Expect: 100-continue",
        [
            (.bytes(head("Content-Length: 2\r\nExpect: 100-continue")), ["continue"]), (.bytes("hi"), ["run 1 /p [hi]"]),
        ]),
    Row(
        "Expect: 100-continue with the body behind it needs no word",
        [
            (.bytes(head("Content-Length: 2\r\nExpect: 100-continue") + "h"), []), (.bytes("i"), ["run 1 /p [hi]"]),
        ]),
    Row(
        "Connection: close ends with its answer, and what follows is dropped",
        [
            (.bytes("GET /a HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n" + get), ["run 1 /a"]),
            (.answer(1), ["answer 1, close", "send last"]), (.bytes(get), []), (.sent, ["shut down"]), (.bytes(get), []),
            (.endOfInput, ["close"]),
        ]),
    Row(
        "HTTP/1.0",
        [
            (.bytes("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), ["run 1 /a"]), (.answer(1), ["answer 1, keep alive"]),
            (.bytes("HEAD /a HTTP/1.0\r\n\r\n"), ["run 2 /a"]), (.answer(2), ["answer 2 without body, close", "send last"]),
        ]),
    Row(
        "a refusal is the last answer, after the ones before it",
        [
            (.bytes(get + "GET / HTTP/1.1\r\n\r\n" + get), ["run 1 /a"]), (.answer(1), ["answer 1", "refuse 400", "send last"]),
            (.sent, ["shut down"]), (.after(.seconds(2)), ["close"]),
        ]),
    Row(
        "HEAD is refused without a body",
        [
            (.bytes("HEAD / HTTP/1.1\r\n\r\n"), ["refuse 400 without body", "send last"])
        ]),
    Row("a body beyond the limit", [(.bytes(head("Content-Length: 21")), ["refuse 413", "send last"])]),
    Row(
        "chunks beyond the limit",
        [
            (.bytes(head("Transfer-Encoding: chunked") + "14\r\n01234567890123456789\r\n"), []),
            (.bytes("1\r\n"), ["refuse 413", "send last"]),
        ]),
    Row("a head beyond the limit", [(.bytes("GET /" + String(repeating: "a", count: 200)), ["refuse 431", "send last"])]),
    Row(
        "fields beyond the limit",
        [
            (.bytes("GET / HTTP/1.1\r\nHost: t\r\na: b\r\na: b\r\na: b\r\na: b\r\n"), ["refuse 431", "send last"])
        ]),
    Row(
        "an idle client that ends is closed once everything is sent",
        [
            (.bytes(get), ["run 1 /a"]), (.answer(1), ["answer 1"]), (.endOfInput, ["send last"]), (.sent, ["close"]),
        ]),
    Row(
        "a client that ends early still gets the answers to its requests",
        [
            (.bytes(get + get), ["run 1 /a"]), (.endOfInput, []), (.answer(1), ["answer 1", "run 2 /a"]),
            (.answer(2), ["answer 2", "send last"]),
            (.sent, ["close"]),
        ]),
    Row(
        "a request that is cut short is refused",
        [
            (.bytes("GET / HT"), []), (.endOfInput, ["refuse 400", "send last"]), (.sent, ["close"]),
        ]),
    Row(
        "a body that is cut short is refused",
        [
            (.bytes(head("Content-Length: 5") + "he"), []), (.endOfInput, ["refuse 400", "send last"]), (.sent, ["close"]),
        ]),
    Row(
        "answers that are not taken hold back the next request",
        [
            (.bytes(get + get), ["run 1 /a"]), (.unwritable, []), (.answer(1), ["answer 1"]), (.after(.seconds(29)), []),
            (.writable, ["run 2 /a"]),
        ]),
    Row(
        "a client that does not take its answers is cut",
        [
            (.bytes(get + get), ["run 1 /a"]), (.answer(1), ["answer 1", "run 2 /a"]), (.unwritable, []), (.answer(2), ["answer 2"]),
            (.after(.seconds(30)), ["close"]),
        ]),
    Row(
        "a client that does not take its last answer is cut",
        [
            (.bytes("GET / HTTP/1.1\r\n\r\n"), ["refuse 400", "send last"]), (.after(.seconds(30)), ["close"]),
        ]),
    Row(
        "a silent client is closed at once after the time for a head, because a TLS handshake may not be over",
        [
            (.after(.seconds(9)), []), (.after(.seconds(1)), ["close"]),
        ]),
    Row(
        "an idle client is closed after the time between requests",
        [
            (.bytes(get), ["run 1 /a"]), (.after(.seconds(1_000)), []), (.answer(1), ["answer 1"]), (.after(.seconds(74)), []),
            (.after(.seconds(1)), ["send last"]), (.sent, ["shut down"]),
        ]),
    Row(
        "a head has its time from its first byte, whatever drips in",
        [
            (.bytes(get), ["run 1 /a"]), (.answer(1), ["answer 1"]), (.after(.seconds(60)), []), (.bytes("G"), []),
            (.after(.seconds(9)), []),
            (.bytes("E"), []), (.after(.seconds(1)), ["refuse 408", "send last"]),
        ]),
    Row(
        "a body has its time from the end of its head",
        [
            (.bytes("POST /p HTTP/1.1\r\n"), []), (.after(.seconds(9)), []), (.bytes("Host: t\r\nContent-Length: 5\r\n\r\n"), []),
            (.after(.seconds(29)), []), (.bytes("h"), []), (.after(.seconds(1)), ["refuse 408", "send last"]),
        ]),
    Row(
        "draining closes an idle connection once everything is sent",
        [
            (.bytes(get), ["run 1 /a"]), (.answer(1), ["answer 1"]), (.drain, ["send last"]), (.sent, ["shut down"]),
            (.after(.seconds(2)), ["close"]),
        ]),
    Row("draining closes a connection that was never used", [(.drain, ["close"])]),
    Row(
        "empty lines before a request are passed over, also in halves, and are no head that takes too long",
        [
            (.bytes("\r\n\r"), []), (.bytes("\n" + get), ["run 1 /a"]), (.answer(1), ["answer 1"]), (.bytes("\r\n"), []),
            (.after(.seconds(74)), []), (.bytes("\r"), []), (.after(.seconds(1)), []), (.bytes("\n"), []),
            (.after(.seconds(1)), ["send last"]),
        ]),
    Row("a client may end behind empty lines", [(.bytes("\r\n\r\n\r"), []), (.endOfInput, ["close"])]),
    Row("empty lines without end are refused", [(.bytes("\r\n\r\n\r\n\r\n"), []), (.bytes("\r\n"), ["refuse 431", "send last"])]),
    Row(
        "a client that reads slowly has its time anew",
        [
            (.bytes("GET / HTTP/1.1\r\n\r\n"), ["refuse 400", "send last"]), (.afterUnsent(.seconds(20), 100_000), []),
            (.afterUnsent(.seconds(20), 90_000), []), (.afterUnsent(.seconds(20), 80_000), []), (.afterUnsent(.seconds(29), 79_000), []),
            (.afterUnsent(.seconds(1), 78_000), ["close"]),
        ]),
    Row(
        "draining ends a busy connection with the answer to the last request that was sent",
        [
            (.bytes(get + get), ["run 1 /a"]), (.drain, []), (.answer(1), ["answer 1", "run 2 /a"]),
            (.answer(2), ["answer 2, close", "send last"]), (.sent, ["shut down"]), (.endOfInput, ["close"]),
        ]),
    Row(
        "a head that is arriving while the server drains is answered, and is the last one",
        [
            (.bytes("GET /a HTTP/1.1\r\n"), []), (.drain, []), (.bytes("Host: t\r\n\r\n"), ["run 1 /a"]),
            (.answer(1), ["answer 1, close", "send last"]),
        ]),
    Row(
        "a refused connection is told so before anything is read", refusal: .tooManyConnections,
        [
            (.bytes(get), ["refuse 503", "send last"]), (.sent, ["shut down"]), (.endOfInput, ["close"]),
        ]),
    Row(
        "a connection that is refused after its head gets its answer with the last byte of the head", refusal: .tooManyConnections,
        afterHead: true,
        [
            (.bytes("GET /a HTTP/1.1\r\n"), []), (.bytes("Host: t\r\n\r"), []), (.bytes("\n"), ["refuse 503", "send last"]),
            (.sent, ["shut down"]), (.endOfInput, ["close"]),
        ]),
    Row(
        "a connection that is refused after its head gets its answer when the head takes too long", refusal: .tooManyConnections,
        afterHead: true,
        [
            (.bytes("GET /a HTTP/1.1\r\n"), []), (.after(.seconds(1)), []), (.after(.seconds(1)), ["refuse 503", "send last"]),
            (.sent, ["shut down"]), (.after(.seconds(2)), ["close"]),
        ]),
    Row(
        "a connection that is refused after its head is closed without an answer when nothing comes", refusal: .draining, afterHead: true,
        [
            (.drain, []), (.after(.seconds(1)), []), (.after(.seconds(1)), ["close"]),
        ]),
    Row(
        "a connection that is refused after its head gets its answer to a malformed head",
        refusal: .tooManyConnections, afterHead: true, [(.bytes("G@T / HTTP/1.1\r\n"), ["refuse 503", "send last"])]),
    Row(
        "a head beyond the limit is not waited for on a refused connection", refusal: .tooManyConnections, afterHead: true,
        [(.bytes("GET /" + String(repeating: "a", count: 200)), ["refuse 503", "send last"])]),
    Row(
        "a head that ends early is answered on a refused connection", refusal: .tooManyConnections, afterHead: true,
        [(.bytes("GET / HT"), []), (.endOfInput, ["refuse 503", "send last"]), (.sent, ["close"])]),
    Row(
        "a stream, behind which later requests wait",
        [
            (.bytes(get), ["run 1 /a"]), (.stream(1), ["stream 1"]), (.bytes(get + get), []), (.streamEnd, ["run 2 /a"]),
            (.stream(2), ["stream 2"]), (.streamEnd, ["run 3 /a"]), (.answer(3), ["answer 3"]),
        ]),
    Row(
        "a stream may last longer than every timeout while the client takes what is sent",
        [
            (.bytes(get), ["run 1 /a"]), (.stream(1), ["stream 1"]), (.after(.seconds(100_000)), []), (.unwritable, []),
            (.after(.seconds(29)), []), (.writable, []), (.after(.seconds(100_000)), []), (.streamEnd, []),
            (.after(.seconds(74)), []), (.after(.seconds(1)), ["send last"]),
        ]),
    Row(
        "the client of a stream who takes nothing within the write timeout is cut off",
        [
            (.bytes(get), ["run 1 /a"]), (.stream(1), ["stream 1"]), (.unwritable, []), (.afterUnsent(.seconds(15), 90_000), []),
            (.afterUnsent(.seconds(15), 80_000), []), (.afterUnsent(.seconds(29), 79_000), []),
            (.afterUnsent(.seconds(1), 79_000), ["close"]),
        ]),
    Row(
        "the end of the connection is the end of a stream to HTTP/1.0, also where the client would keep it open",
        [
            (.bytes("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), ["run 1 /a"]), (.stream(1), ["stream 1, close"]),
            (.bytes(get), []),
            (.streamEnd, ["send last"]), (.sent, ["shut down"]), (.endOfInput, ["close"]),
        ]),
    Row(
        "the answer to HEAD with a stream is complete with its head",
        [
            (.bytes("HEAD /a HTTP/1.1\r\nHost: t\r\n\r\n" + get), ["run 1 /a"]), (.stream(1), ["stream 1 without body", "run 2 /a"]),
        ]),
    Row(
        "a stream that began before draining has its end sent, and then the connection ends",
        [
            (.bytes(get), ["run 1 /a"]), (.stream(1), ["stream 1"]), (.drain, []), (.streamEnd, ["send last"]), (.sent, ["shut down"]),
        ]),
    Row(
        "a stream that begins while draining says that the connection ends",
        [
            (.bytes(get), ["run 1 /a"]), (.drain, []), (.stream(1), ["stream 1, close"]), (.streamEnd, ["send last"]),
            (.sent, ["shut down"]),
        ]),
    Row(
        "requests that wait behind a stream are answered while draining, and the last one says so",
        [
            (.bytes(get + get), ["run 1 /a"]), (.drain, []), (.stream(1), ["stream 1"]), (.streamEnd, ["run 2 /a"]),
            (.answer(2), ["answer 2, close", "send last"]),
        ]),
    Row(
        "the end of a stream is dropped once the channel is closed",
        [
            (.bytes(get + get), ["run 1 /a"]), (.stream(1), ["stream 1"]), (.closed, []), (.streamEnd, []), (.bytes(get), []),
        ]),
    Row(
        "a stream is not begun once the channel is closed", [(.bytes(get + get), ["run 1 /a"]), (.closed, []), (.stream(1), ["drop 1"])]),
    Row(
        "nothing happens once the channel is closed, and a late answer is dropped",
        [
            (.bytes(get + get), ["run 1 /a"]), (.closed, []), (.answer(1), ["drop 1"]), (.bytes(get), []), (.endOfInput, []), (.drain, []),
            (.after(.seconds(1_000)), []),
        ]),
]

@Suite("A connection as a state machine")
struct ConnectionStateMachineTests {
    @Test("each event leads to its actions", arguments: rows)
    private func table(row: Row) {
        var rig = Rig(refusal: row.refusal, refusesAfterHead: row.refusesAfterHead)
        for (index, (event, expected)) in row.steps.enumerated() {
            #expect(rig.handle(event) == expected, "step \(index), \(event)")
        }
    }

    @Test("bytes are wanted until enough of later requests wait")
    func wantsBytes() {
        var rig = Rig()
        _ = rig.handle(.bytes(get))
        #expect(rig.machine.wantsBytes)
        _ = rig.handle(.bytes(String(repeating: get, count: 10)))
        #expect(!rig.machine.wantsBytes)
        for number in 1...10 {
            #expect(rig.handle(.answer(number)) == ["answer \(number)", "run \(number + 1) /a"])
        }
        #expect(rig.machine.wantsBytes)
    }

    @Test("behind a stream no more bytes wait than behind another request")
    func wantsBytesBehindStream() {
        var rig = Rig()
        _ = rig.handle(.bytes(get))
        _ = rig.handle(.stream(1))
        #expect(rig.machine.wantsBytes)
        _ = rig.handle(.bytes(String(repeating: get, count: 10)))
        #expect(!rig.machine.wantsBytes)
        #expect(rig.handle(.streamEnd) == ["run 2 /a"])
    }

    @Test("whatever happens in whatever order, one request runs at a time, and nothing follows the end", arguments: 0..<40)
    func randomEvents(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var rig = Rig()
        var (running, streaming, isSending, hasEnded, answers) = (0, false, false, false, 0)
        for _ in 0..<400 {
            let event: Event
            switch random.next() % 16 {
            case 0...4:
                event = .bytes(
                    [get, get + get, "GET /a HT", "TP/1.1\r\nHost: t\r\n\r\n", head("Content-Length: 5") + "hello"][Int(random.next() % 5)])
            case 5...9 where streaming: event = .streamEnd
            case 5...8 where running > 0: event = .answer(running)
            case 9...10 where running > 0 && !streaming: event = .stream(running)
            case 11: event = .unwritable
            case 12: event = .writable
            case 13 where isSending: event = .sent
            case 14: event = .after(.seconds(Int64(random.next() % 3)))
            case 15 where random.next() % 20 == 0: event = .endOfInput
            default: event = .writable
            }
            if case .answer = event { (running, answers) = (0, answers + 1) }
            if case .stream = event { streaming = true }
            if case .streamEnd = event { (running, streaming, answers) = (0, false, answers + 1) }
            if case .sent = event { isSending = false }
            for action in rig.handle(event) {
                #expect(!hasEnded, "seed \(seed): \(action) after the end")
                if action.hasPrefix("run") {
                    #expect(running == 0, "seed \(seed): two at once")
                    running = answers + 1
                    #expect(action.hasPrefix("run \(running) "), "seed \(seed)")
                }
                if action == "send last" { isSending = true }
                if action == "close" {
                    hasEnded = true
                    rig.machine.closed()
                }
            }
            if hasEnded { return }
        }
    }
}
