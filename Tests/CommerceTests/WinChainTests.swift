import Testing

@testable import Commerce

@Suite struct WinChainTests {
    private let chain = WinChain(salt: Array(0..<32))
    private let first = ChainedWin(sequence: 1, userID: UserID(42), issuedAt: instant("2026-11-20T03:04:05.678Z"))
    /// Nobody has sequence 2.
    private let second = ChainedWin(sequence: 3, userID: UserID(5), issuedAt: instant("2026-11-20T03:04:06.000Z"))

    private static func instant(_ text: String) -> Instant { Instant(rfc3339: text) ?? Instant(milliseconds: 0) }

    // The hashes were computed by another program, from the texts that the guide names.
    private static let hashes = (
        start: "e4cca06a714db031a6357bdb7dc2bb93baa4f9f14a7255a0bafa64281e2787c1", nonce: "5d772254909c0127008b84602372a120",
        user: "f32b170b759d7a677b478004150a9a22c1c0a1819786096a49313793af637cac",
        first: "005e3cfb3c00f6867c304a1cd629d2f7ac3244cff6c171b821164b207ec58dbc",
        second: "63097753c0a37c7229d40aec09d2837e072a755a04fe901b3898166d139e58c9"
    )

    @Test("hashes are those that sha256sum gives of the texts in the guide")
    func texts() throws {
        let start = WinChain.start(of: CouponID(7))
        #expect(start.description == Self.hashes.start)
        #expect(chain.nonce(of: UserID(42)) == Self.hashes.nonce)
        #expect(chain.userHash(of: UserID(42)).description == Self.hashes.user)
        #expect(WinChain.userHash(of: UserID(42), nonce: Self.hashes.nonce) == chain.userHash(of: UserID(42)))
        let one = chain.hash(after: start, sequence: 1, user: UserID(42), issuedAt: first.issuedAt)
        #expect(one.description == Self.hashes.first)
        let two = chain.hash(after: one, sequence: 3, user: UserID(5), issuedAt: second.issuedAt)
        #expect(two.description == Self.hashes.second)
        #expect(WinChain.hash(after: one, sequence: 3, userHash: chain.userHash(of: UserID(5)), issuedAt: second.issuedAt) == two)
    }

    @Test("a hash is read from its own text, in any case of letters, and from nothing else")
    func hashTexts() throws {
        let hash = try #require(ChainHash(Self.hashes.first))
        #expect(hash.description == Self.hashes.first && ChainHash(Self.hashes.first.uppercased()) == hash)
        #expect(ChainHash(hash.bytes) == hash && !hash.isZero)
        for text in ["", "ab", String(Self.hashes.first.dropLast()), Self.hashes.first + "0", "g" + Self.hashes.first.dropFirst()] {
            #expect(ChainHash(text) == nil, "\(text)")
        }
        #expect(ChainHash([1, 2, 3]) == nil)
    }

    @Test("a chain grows by its wins, and a sequence that nobody has leaves its place empty")
    func growth() throws {
        var growth = ChainGrowth(of: CouponID(7), from: .none, chain)
        growth.add(first)
        growth.add(second)
        #expect(growth.head == ChainHead(sequence: 3, count: 2, hash: ChainHash(Self.hashes.second)))
        let block = try #require(growth.pieces.first)
        #expect(growth.pieces.count == 1 && block.number == 0 && block.hashes.count == 96)
        #expect(try #require(block.hash(of: 1)) == (WinChain.start(of: CouponID(7)), try #require(ChainHash(Self.hashes.first))))
        #expect(block.hash(of: 2) == nil && block.hash(of: 4) == nil && block.hash(of: 65) == nil)
        #expect(try #require(block.hash(of: 3)).previous.description == Self.hashes.first)
    }

    @Test("wins far apart take no more than their own blocks, and the first of a block knows the hash before it")
    func farApart() throws {
        var growth = ChainGrowth(of: CouponID(7), from: .none, chain)
        growth.add(first)
        growth.add(ChainedWin(sequence: 64_000_000_002, userID: UserID(5), issuedAt: second.issuedAt))
        #expect(growth.pieces.map(\.number) == [0, 1_000_000_000] && growth.pieces.map(\.hashes.count) == [32, 64])
        #expect(try #require(growth.pieces[1].hash(of: 64_000_000_002)).previous.description == Self.hashes.first)
    }
}
