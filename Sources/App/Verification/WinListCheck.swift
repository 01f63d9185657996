package import Commerce

/// Checks a list of wins line by line: `issued.csv` with user ids and nonces, or `chain.csv` with the users' hashes alone.
///
/// Every hash is computed anew from its row and the hash before it, so a row that was changed, added, dropped or moved is found, and so is
/// a user who is listed twice. What the list cannot show by itself is that its end is missing: for that, its last hash is compared with one
/// that was published.
package struct WinListCheck {
    /// What a list holds that has no fault.
    package struct Finding: Sendable, Equatable {
        package let coupon: CouponID?
        package let head: ChainHead
        /// Wins at the end that had no hash yet when the list was made.
        package let unsealed: Int64
        /// The sequences of the hashes that were looked for.
        package let found: [ChainHash: Int64]
    }

    private var columns: Columns?
    private var coupon: CouponID?
    private var head = ChainHead.none
    private var unsealed: Int64 = 0
    private var lastSequence: Int64 = 0
    private var line = 0
    private var users: Set<ChainHash> = []
    private let wanted: Set<ChainHash>
    private var found: [ChainHash: Int64] = [:]
    private let place: Int64?
    /// The row of the sequence that was asked for.
    package private(set) var row: (userHash: ChainHash, issuedAt: String, hash: ChainHash)?

    private struct Columns {
        var count = 0
        var coupon = 0
        var sequence = 0
        var issuedAt = 0
        var hash = 0
        var user: Int?
        var nonce: Int?
        var userHash: Int?
    }

    /// - Parameters:
    ///   - wanted: hashes whose sequences are looked for.
    ///   - place: the sequence whose row is kept.
    package init(lookingFor wanted: Set<ChainHash> = [], place: Int64? = nil) { (self.wanted, self.place) = (wanted, place) }

    /// Checks one line, without its line end. The first one names the columns.
    ///
    /// - Throws: `CommandError`, which names the line and what is wrong with it.
    package mutating func check(_ text: some StringProtocol) throws(CommandError) {
        line += 1
        guard let columns else { return try readColumns(text) }
        if text.isEmpty { return }
        let fields = text.split(separator: ",", omittingEmptySubsequences: false)
        guard fields.count == columns.count, let id = Int64(fields[columns.coupon]), let sequence = Int64(fields[columns.sequence]),
            sequence > 0
        else { throw fault("it is no row of a list of wins") }
        guard coupon == nil || coupon == CouponID(id) else { throw fault("it is of another campaign than the rows before it") }
        coupon = CouponID(id)
        guard sequence > lastSequence else { throw fault("sequence \(sequence) comes after sequence \(lastSequence)") }
        lastSequence = sequence
        let userHash = try userHash(in: fields, columns)
        guard users.insert(userHash).inserted else { throw fault("the user of sequence \(sequence) is listed before") }
        guard !fields[columns.hash].isEmpty else {
            unsealed += 1
            return
        }
        guard unsealed == 0 else { throw fault("it has a hash, and a row before it has none") }
        let issuedAt = String(fields[columns.issuedAt])
        guard let instant = Instant(rfc3339: issuedAt), instant.description == issuedAt else { throw fault("its instant is malformed") }
        let previous = head.previous(in: CouponID(id))
        let hash = WinChain.hash(after: previous, sequence: sequence, userHash: userHash, issuedAt: instant)
        guard ChainHash(fields[columns.hash]) == hash else {
            let what = "is not that of its row and the hash before it: a row was changed, added or dropped"
            throw fault("the hash of sequence \(sequence) \(what)")
        }
        head = ChainHead(sequence: sequence, count: head.count + 1, hash: hash)
        if wanted.contains(hash) { found[hash] = sequence }
        if sequence == place { row = (userHash, issuedAt, hash) }
    }

    private func userHash(in fields: [some StringProtocol], _ columns: Columns) throws(CommandError) -> ChainHash {
        if let column = columns.userHash {
            guard let hash = ChainHash(fields[column]) else { throw fault("its user's hash is malformed") }
            return hash
        }
        guard let column = columns.user, let nonce = columns.nonce, let user = Int64(fields[column]), user > 0 else {
            throw fault("its user id is malformed")
        }
        return WinChain.userHash(of: UserID(user), nonce: String(fields[nonce]))
    }

    private mutating func readColumns(_ text: some StringProtocol) throws(CommandError) {
        let names = text.split(separator: ",", omittingEmptySubsequences: false).map { String($0) }
        func place(_ name: String) throws(CommandError) -> Int {
            guard let place = names.firstIndex(of: name) else { throw fault("the column \(name) is missing") }
            return place
        }
        var columns = Columns(
            count: names.count, coupon: try place("couponId"), sequence: try place("sequence"), issuedAt: try place("issuedAt"),
            hash: try place("hash"), userHash: names.firstIndex(of: "userHash"))
        if columns.userHash == nil { (columns.user, columns.nonce) = (try place("userId"), try place("nonce")) }
        self.columns = columns
    }

    private func fault(_ text: String) -> CommandError { CommandError("line \(line): \(text)") }

    /// What was found; call it after the last line.
    package func finding() throws(CommandError) -> Finding {
        guard columns != nil else { throw CommandError("the list is empty; its first line names the columns") }
        return Finding(coupon: coupon, head: head, unsealed: unsealed, found: found)
    }
}
