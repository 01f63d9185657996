import Commerce
import HTTPServer
import NIOCore
import Store

/// The handlers of whole lists of wins, which are streamed as CSV.
enum WinLists {
    /// All winners with what proves them; those that are not sealed yet come without a hash.
    static let issued: Route.IdentityHandler = { call, _ in
        try list(call, header: "couponId,sequence,userId,issuedAt,nonce,hash,issuedCouponId\n", named: "issued") { text, coupon, listed in
            text.writeFields(coupon.description, listed.win.sequence.description, listed.win.userID.description)
            text.writeFields(listed.win.issuedAt.description, listed.nonce, listed.hash?.description ?? "")
            text.writeLast(listed.issuedCouponID.description)
            return true
        }
    }

    /// The hashes of the sealed wins, which name nobody.
    static let chain: Route.Handler = { call in
        try list(call, header: "couponId,sequence,userHash,issuedAt,hash\n", named: "chain") { text, coupon, listed in
            guard let hash = listed.hash else { return false }
            text.writeFields(coupon.description, listed.win.sequence.description, listed.userHash.description)
            text.writeFields(listed.win.issuedAt.description)
            text.writeLast(hash.description)
            return true
        }
    }

    /// How many wins are read and sent at a time.
    private static let winsPerPage = 1_000

    /// - Parameter write: writes a line; false for a win at which the list ends.
    private static func list(
        _ call: Call, header: StaticString, named name: String,
        _ write: @escaping @Sendable (inout ByteBuffer, CouponID, ListedWin) -> Bool
    ) throws -> HTTPAnswer {
        let id = try call.id("couponId", of: Campaign.self)
        return .deferredTask {
            guard try await call.reader.find(campaign: id, on: call.loop.context).row != nil else {
                return .now(call.refusal(.couponNotFound))
            }
            let file = ("content-disposition", "attachment; filename=\"coupon-\(id)-\(name).csv\"")
            return call.stream(headers: [file], contentType: "text/csv; charset=utf-8") { writer in
                var text = ByteBuffer()
                text.writeStaticString(header)
                var last: Int64 = 0
                while let page = try await read(id, after: last, from: call.store) {
                    let listed = page.prefix { write(&text, id, $0) }
                    if text.readableBytes > 0 { try await writer.write(text) }
                    guard listed.count == winsPerPage, let end = listed.last else { return }
                    (last, text) = (end.win.sequence, ByteBuffer())
                }
            }
        }
    }

    /// Reads a page. The answer has begun, so a busy store cannot be reported any more: the page is tried again for a while.
    private static func read(_ coupon: CouponID, after sequence: Int64, from store: TransactionalStore) async throws -> [ListedWin]? {
        for pause in pausesBeforeRetry {
            do {
                return try await store.listedWins(of: coupon, afterSequence: sequence, limit: winsPerPage)
            } catch {
                guard error.code == .overloaded || error.code == .unavailable else { throw error }
            }
            try await Task.sleep(for: pause)
        }
        return try await store.listedWins(of: coupon, afterSequence: sequence, limit: winsPerPage)
    }

    /// About ten seconds in all.
    private static let pausesBeforeRetry: [Duration] = [.milliseconds(100), .milliseconds(300)] + Array(repeating: .seconds(1), count: 10)
}

extension ByteBuffer {
    /// Writes fields of a line, each with a comma behind it. None holds a comma, a quote or a line end.
    fileprivate mutating func writeFields(_ fields: String...) {
        for field in fields {
            writeString(field)
            writeStaticString(",")
        }
    }

    /// Writes the last field of a line.
    fileprivate mutating func writeLast(_ field: String) {
        writeString(field)
        writeStaticString("\n")
    }
}
