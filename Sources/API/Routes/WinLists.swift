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
            guard let first = try await call.store.listedWins(of: id, afterSequence: 0, limit: winsPerPage) else {
                return .now(call.refusal(.couponNotFound))
            }
            let file = ("content-disposition", "attachment; filename=\"coupon-\(id)-\(name).csv\"")
            return call.stream(headers: [file], contentType: "text/csv; charset=utf-8") { writer in
                var page = first
                var text = ByteBuffer()
                text.writeStaticString(header)
                while true {
                    var goesOn = page.count == winsPerPage
                    for listed in page where !write(&text, id, listed) {
                        goesOn = false
                        break
                    }
                    if text.readableBytes > 0 { try await writer.write(text) }
                    guard goesOn, let last = page.last?.win.sequence,
                        let next = try await call.store.listedWins(of: id, afterSequence: last, limit: winsPerPage)
                    else { return }
                    (page, text) = (next, ByteBuffer())
                }
            }
        }
    }
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
