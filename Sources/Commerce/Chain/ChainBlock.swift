/// The hashes of 64 sequences in a row, as the store keeps them: one after the other, zeros for a sequence that nobody has.
package struct ChainBlock: Sendable, Equatable {
    /// How many sequences a block covers.
    package static let length: Int64 = 64

    /// The number of the block, from 0: the sequence less 1, divided by 64.
    package let number: Int64
    /// The hash before the first win of the block.
    package let before: ChainHash
    /// 32 bytes for each sequence, from the first of the block on.
    package var hashes: [UInt8]

    package init(number: Int64, before: ChainHash, hashes: [UInt8]) {
        (self.number, self.before, self.hashes) = (number, before, hashes)
    }

    package static func number(of sequence: Int64) -> Int64 { (sequence - 1) / length }

    /// The place of a sequence in its block, from 0.
    package static func place(of sequence: Int64) -> Int { Int((sequence - 1) % length) }

    /// The hash at a place; nil where none is there.
    private func hash(at place: Int) -> ChainHash? {
        let start = place * ChainHash.byteCount
        guard place >= 0, start + ChainHash.byteCount <= hashes.count else { return nil }
        let hash = hashes.withUnsafeBytes { ChainHash(UnsafeRawBufferPointer(rebasing: $0[start..<start + ChainHash.byteCount])) }
        return hash.flatMap { $0.isZero ? nil : $0 }
    }

    /// The hash of a sequence of this block, and the hash of the win before it; nil where the sequence has none.
    package func hash(of sequence: Int64) -> (previous: ChainHash, hash: ChainHash)? {
        let place = Self.place(of: sequence)
        guard Self.number(of: sequence) == number, let hash = hash(at: place) else { return nil }
        let previous = stride(from: place - 1, through: 0, by: -1).lazy.compactMap { self.hash(at: $0) }.first
        return (previous ?? before, hash)
    }
}

/// A step by which a chain grows: the new hashes in pieces of blocks, and the head after them.
package struct ChainGrowth: Sendable, Equatable {
    /// The head that the step goes on from; it is refused where the store has another.
    package let from: ChainHead
    package private(set) var head: ChainHead
    /// In the order of their numbers. The first one is added behind what the store has of its block.
    package private(set) var pieces: [ChainBlock] = []

    private let campaign: CouponID
    private let chain: WinChain

    package init(of campaign: CouponID, from head: ChainHead, _ chain: WinChain) {
        (self.campaign, from, self.head, self.chain) = (campaign, head, head, chain)
    }

    /// Adds the next win. Its sequence is greater than the head's; sequences in between belong to nobody, for ever.
    package mutating func add(_ win: ChainedWin) {
        precondition(win.sequence > head.sequence, "wins are sealed in the order of their sequences")
        let previous = head.previous(in: campaign)
        // Whole blocks without a win are left out, however many they are.
        let first = max(head.sequence, ChainBlock.number(of: win.sequence) * ChainBlock.length) + 1
        for empty in first..<win.sequence { put(nil, at: empty, previous) }
        let hash = chain.hash(after: previous, sequence: win.sequence, user: win.userID, issuedAt: win.issuedAt)
        put(hash, at: win.sequence, previous)
        head = ChainHead(sequence: win.sequence, count: head.count + 1, hash: hash)
    }

    private mutating func put(_ hash: ChainHash?, at sequence: Int64, _ before: ChainHash) {
        let number = ChainBlock.number(of: sequence)
        if pieces.last?.number != number { pieces.append(ChainBlock(number: number, before: before, hashes: [])) }
        let last = pieces.count - 1
        if let hash {
            hash.withBytes { pieces[last].hashes.append(contentsOf: $0) }
        } else {
            pieces[last].hashes.append(contentsOf: repeatElement(0, count: ChainHash.byteCount))
        }
    }

    package static func == (left: ChainGrowth, right: ChainGrowth) -> Bool {
        left.from == right.from && left.head == right.head && left.pieces == right.pieces
    }
}
