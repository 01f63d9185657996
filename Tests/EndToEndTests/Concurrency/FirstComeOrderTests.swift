import NIOCore
import Synchronization
import TestSupport
import Testing

extension EndToEnd {
    @Suite("The order of first come", .everyEngine)
    struct FirstComeOrderTests {
        @Test(
            "users over 64 connections: the sequences of each event loop's claims follow the order in which it read them",
            arguments: [1, 2], [Duration.seconds(1), .zero])
        func readOrder(loops: Int, lease: Duration) async throws {
            let order = ReadOrder()
            var setup = LiveService.Setup()
            setup.loops = loops
            // Without a lease each claim waits for terms of its own, and on PostgreSQL for a trip of its own.
            let (count, asksAlone) = lease == .zero ? (500, Engine.current == .postgres) : (5_000, false)
            setup.cacheLease = lease
            setup.configureChannel = { try $0.pipeline.syncOperations.addHandler(ReadRecorder(order)) }
            try await LiveService.run(setup) { live in
                let coupon = try await live.admin.makeCoupon(quantity: 10_000)
                let users = try await live.newUsers(count)
                try await live.warmConnections(64)
                let answers = try await together(users) { try await $0.claim(coupon) }
                var sequences: [String: Int64] = [:]
                for (user, answer) in zip(users, answers) { sequences[try #require(user.token)] = try answer.expect(201).int("sequence") }
                #expect(sequences.values.sorted() == Array(1...Int64(count)))
                let reads = order.claims
                #expect(reads.count == loops && reads.reduce(0) { $0 + $1.count } == count)
                for tokens in reads {
                    let given = tokens.compactMap { sequences[$0] }
                    #expect(given.count == tokens.count && given == given.sorted())
                }
                // Fewer calls than claims, or there was no order to keep.
                let metrics = try await live.guest.get("/metrics").expect(200).text
                let calls = try #require(metrics.firstMatch(of: #/\nfirstcome_claim_calls_total (\d+)/#)).1
                #expect(try asksAlone || #require(Int(calls)) < count)
            }
        }
    }
}

/// The tokens of the claims that each event loop read, in the order of reading.
private final class ReadOrder: Sendable {
    private let tokens = Mutex<[ObjectIdentifier: [String]]>([:])

    var claims: [[String]] { tokens.withLock { Array($0.values) } }

    func note(_ token: String, on loop: any EventLoop) {
        tokens.withLock { $0[ObjectIdentifier(loop), default: []].append(token) }
    }
}

/// Notes each claim as its bytes come from the socket. A claim is far smaller than what is read at once, so it comes in one piece.
private final class ReadRecorder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let order: ReadOrder

    init(_ order: ReadOrder) { self.order = order }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let text = String(buffer: unwrapInboundIn(data))
        let lines = text.split { $0.isNewline }
        if lines.first?.contains("/claims HTTP") == true, let field = lines.first(where: { $0.hasPrefix("Authorization: Bearer ") }) {
            order.note(String(field.split(separator: " ")[2]), on: context.eventLoop)
        }
        context.fireChannelRead(data)
    }
}
